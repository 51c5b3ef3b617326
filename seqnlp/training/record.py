"""What a run was begun with: written first, so that it can be gone on with after any end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from seqnlp.config import Settings, settings_from
from seqnlp.data.corpus import Corpus
from seqnlp.errors import InputError
from seqnlp.files import write_bytes
from seqnlp.manifest import RECORD
from seqnlp.training.checkpoints import FOLDER

FORMAT = 1


class RunRecord(BaseModel):
    """settings: completed. corpus: a digest of the rows of each split, and how many they are.
    processes, threads: of the group, of each. seqnlp, torch: versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    format: int = FORMAT
    seqnlp: str
    torch: str
    processes: int
    threads: int
    settings: dict[str, Any]
    corpus: dict[str, tuple[str, int]]

    @classmethod
    def of(cls, settings: Settings, corpus: Corpus, processes: int) -> RunRecord:
        """What a run with these settings is begun with now."""
        return cls(
            seqnlp=version("seqnlp"),
            torch=torch.__version__,
            processes=processes,
            threads=torch.get_num_threads(),
            settings=settings.model_dump(mode="json", exclude_none=True),
            corpus={name: (each.digest(), len(each)) for name, each in corpus.splits.items()},
        )

    def write(self, folder: Path) -> None:
        """Write the record of the run in a folder.

        Raises:
            InputError: it cannot be written.
        """
        place = folder / FOLDER
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {place}: {error.strerror}") from error
        data = self.model_dump_json(indent=2) + "\n"
        write_bytes(folder / RECORD, data.encode(), durable=True)

    def check(self, now: RunRecord, folder: Path) -> list[str]:
        """See that a run would go on as what it was begun as; gives notes.

        Raises:
            InputError: it would be another one; the message has the difference.
        """
        changed = differences(self.settings, now.settings)
        if changed:
            raise InputError(
                f"{folder} was begun with other settings: {'; '.join(changed)}; go on with "
                f"--resume {folder}, or begin anew with --force"
            )
        _check_corpus(self.corpus, now.corpus, f"{folder} was begun on", self.settings)
        if self.processes != now.processes:
            raise InputError(
                f"{folder} was begun by {self.processes} processes, and {now.processes} would go "
                f"on; start it by torchrun --nproc-per-node {self.processes}"
                if self.processes > 1
                else f"{folder} was begun by 1 process, and {now.processes} would go on; start it "
                "without torchrun"
            )
        versions = [
            f"{name} {then} then, {today} now"
            for name, then, today in (
                ("seqnlp", self.seqnlp, now.seqnlp),
                ("torch", self.torch, now.torch),
            )
            if then != today
        ]
        return [f"{', '.join(versions)}: last bits may differ"] if versions else []


def begun(folder: Path) -> bool:
    """Whether a folder holds a run that was begun and is not complete."""
    return (folder / RECORD).is_file()


def read_record(folder: Path) -> RunRecord:
    """The record of the run in a folder.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    path = folder / RECORD
    try:
        content = json.loads(path.read_bytes())
        found = content.get("format") if isinstance(content, dict) else None
        if isinstance(found, int) and found > FORMAT:
            raise InputError(f"{path}: format {found} is of a newer seqnlp; upgrade it")
        return RunRecord.model_validate(content)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no run was begun here, so there is none to resume") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValidationError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged; begin the run anew with --force") from error


def settings_of(folder: Path) -> Settings:
    """The settings that the run in a folder was begun with.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    return settings_from(read_record(folder).settings, str(folder / RECORD))


def forget(folder: Path) -> None:
    """Remove the record of a run, and then its checkpoints, which are nothing without it."""
    place = folder / FOLDER
    (folder / RECORD).unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)


def differences(then: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> list[str]:
    """Where two tables differ, as "train.lr was 0.1 and is 0.2"."""
    found = []
    for key in sorted({*then, *now}):
        old, new = then.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{where}{key}.")
        elif old != new:
            found.append(f"{where}{key} was {_shown(old)} and is {_shown(new)}")
    return found


def _shown(value: object) -> str:
    return "not set" if value is None else json.dumps(value)


def _check_corpus(
    then: Mapping[str, tuple[str, int]],
    now: Mapping[str, tuple[str, int]],
    told: str,
    settings: Mapping[str, Any],
) -> None:
    name = settings.get("corpus", {}).get("name", "its corpus")
    for split in sorted({*then, *now}):
        if then.get(split) == now.get(split):
            continue
        (_, before), (_, today) = then.get(split, ("", 0)), now.get(split, ("", 0))
        how = (
            f"{before:,} rows then, {today:,} now"
            if before != today
            else f"{before:,} rows, of which some have changed"
        )
        raise InputError(
            f"{told} another {split} split of {name} ({how}); to go on, put back what it was, or "
            "begin anew with --force"
        )
