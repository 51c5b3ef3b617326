"""Models on the Hugging Face Hub: `hf:owner/name` and `hf:owner/name@revision`.

Only the files of a model are fetched, by name, into the cache of `huggingface_hub`; what a model's
folder holds beside them is not looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from seqnlp.errors import BundleError, InputError
from seqnlp.manifest import MANIFEST, is_part

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

_SCHEME = "hf:"
_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?:@(\S+))?", re.ASCII)
_SECONDS = 20.0
MOST_BYTES = {"weights.safetensors": 8 << 30}
MOST_OTHER_BYTES = 256 << 20
"""Of a file that is fetched: of the weights, and of any other."""
MOST_FILES = 64


def is_on_hub(source: str | os.PathLike[str]) -> bool:
    """Whether a model's name is one on the Hub, and not that of a folder."""
    return Path(source).as_posix().startswith(_SCHEME)


def fetch(source: str | os.PathLike[str]) -> Path:
    """The folder of a model of the Hub, in the cache; the newest of its revision, if that is known.

    Raises:
        InputError: no such name, model or revision, one that may not be read, or no way there.
        BundleError: it is no model of ours, or one of its files is larger than any of a model.
    """
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    name = Path(source).as_posix()
    repository, revision = _parse(name)
    with _explained(name):
        try:
            info = _client().model_info(
                repository, revision=revision, files_metadata=True, timeout=_SECONDS
            )
        except OfflineModeIsEnabled:
            return _before(name, "HF_HUB_OFFLINE is set")
        except HfHubHTTPError as error:
            if error.response.status_code < 500:
                raise
            return _before(name, error)
        except ValueError:  # of a name that the Hub does not have
            raise
        except Exception as error:  # no connection: each client has errors of its own
            return _before(name, error)
        sizes = {each.rfilename: each.size or 0 for each in info.siblings or ()}
        wanted = {each: size for each, size in sizes.items() if is_part(each)}
        _check(name, wanted)
        folder = _client().snapshot_download(
            repository, revision=revision, allow_patterns=[*wanted]
        )
    return Path(folder)


def cached(source: str | os.PathLike[str]) -> Path | None:
    """The folder of a model that was fetched before, without a look at the Hub."""
    from huggingface_hub import try_to_load_from_cache

    try:
        repository, revision = _parse(Path(source).as_posix())
        found = try_to_load_from_cache(repository, MANIFEST, revision=revision)
    except ValueError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def push(
    files: Mapping[str, bytes],
    repository: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    message: str = "Upload a model",
    revision: str | None = None,
) -> str:
    """Make files of a model the model of a repository, which is made if there is none.

    Files of a model that was there before are removed, and others are left alone.

    Args:
        files: by path.
        repository: owner/name.
        token: of whoever pushes; by default that of `hf auth login` or HF_TOKEN.
        private: whether a new repository is.
        message: of the commit.
        revision: a branch, which is made if there is none.

    Returns:
        The address of the commit.

    Raises:
        InputError: no such name, no right to write there, or no way there.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    name = _SCHEME + repository.removeprefix(_SCHEME)
    repository, branch = _parse(name)
    if branch is not None:
        raise InputError(f"{name}: a revision is pushed by the option of that name")
    with _explained(name):
        api = _client(token)
        api.create_repo(repository, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        there = api.list_repo_files(repository, revision=revision)
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(path_in_repo=path, path_or_fileobj=data)
            for path, data in files.items()
        ]
        operations += [
            CommitOperationDelete(path_in_repo=path)
            for path in there
            if is_part(path) and path not in files
        ]
        commit = api.create_commit(
            repository, operations, commit_message=message, revision=revision
        )
    return str(commit.commit_url)


def _parse(name: str) -> tuple[str, str | None]:
    found = _NAME.fullmatch(name.removeprefix(_SCHEME))
    if found is None:
        raise InputError(
            f"{name}: no name of a model on the Hub; expected hf:owner/name or "
            "hf:owner/name@revision"
        )
    return found[1], found[2]


def _client(token: str | None = None) -> HfApi:
    """A client that says who asks."""
    from huggingface_hub import HfApi

    return HfApi(token=token, library_name="seqnlp", library_version=version("seqnlp"))


def _before(name: str, why: Exception | str) -> Path:
    """The folder of a model that was fetched before, where the Hub is out of reach."""
    folder = cached(name)
    if folder is None:
        raise InputError(
            f"{name}: the Hugging Face Hub cannot be reached, and the model is not in the local "
            f"cache ({why if isinstance(why, str) else _line(why)})"
        )
    return folder


def _check(name: str, sizes: Mapping[str, int]) -> None:
    if MANIFEST not in sizes:
        raise BundleError(f"{name}: not a saved model of seqnlp: it has no {MANIFEST}")
    if len(sizes) > MOST_FILES:
        raise BundleError(
            f"{name}: it has {len(sizes)} files by the names of a model's, more than the "
            f"{MOST_FILES} that are fetched"
        )
    for path, size in sizes.items():
        most = MOST_BYTES.get(path, MOST_OTHER_BYTES)
        if size > most:
            raise BundleError(
                f"{name}: {path} has {size:,} bytes, more than the {most:,} that are fetched"
            )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say in one line what the Hub refuses."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    who = "`hf auth login` or HF_TOKEN says who you are"
    try:
        yield
    except InputError:
        raise
    except GatedRepoError as error:
        raise InputError(f"{name}: its page on the Hub says how to get access; {who}") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"{name}: the Hub has no such model, or it is private; {who}") from error
    except RevisionNotFoundError as error:
        raise InputError(f"{name}: the model has no such revision") from error
    except HFValidationError as error:
        raise InputError(f"{name}: no name of a model on the Hub: {_line(error)}") from error
    except OfflineModeIsEnabled as error:
        raise InputError(f"{name}: the Hub cannot be reached: HF_HUB_OFFLINE is set") from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise InputError(f"{name}: the Hub does not allow that; {who}") from error
        raise InputError(f"{name}: the Hub refuses: {_line(error)}") from error
    except Exception as error:  # of the client, of which it has had two kinds
        why = _line(error.__cause__ or error)
        raise InputError(f"{name}: the Hub cannot be reached: {why}") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
