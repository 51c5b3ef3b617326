"""A trained model as a folder, and back: files that one can read.

config.toml            the settings; `seqnlp train config.toml` repeats the run
pipeline.json, ...     the token pipeline, if any; a second one in a folder of its name
weights.safetensors    the weights; tied ones are stored once
metrics.json           figures on validation and test, baselines, the course of training
README.md              the model card
bundle.json            format, what the model needs, checksums; written last
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from seqnlp import hub, registry
from seqnlp.card import model_card
from seqnlp.config import Settings
from seqnlp.data.corpus import Corpus
from seqnlp.errors import BundleError, InputError
from seqnlp.files import write_together
from seqnlp.manifest import (
    FORMAT,
    MANIFEST,
    Manifest,
    check_requirements,
    digest,
    format_for,
    hashed_files,
    is_part,
    read_manifest,
    requirements,
)
from seqnlp.model_folder import (
    check_digests,
    corpus_of,
    find_folder,
    make_folders,
    read_metrics,
    read_settings,
)
from seqnlp.nn.forking import keep_forks_alone
from seqnlp.nn.layer import set_engine
from seqnlp.packing import Bound, fill, pack, pipeline_files, read_weights
from seqnlp.tasks.annotating import annotate, answer_words
from seqnlp.tasks.base import Stream, Task
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.types import Beginning, Prediction

__all__ = ["FORMAT", "MANIFEST", "Model", "load", "read_manifest", "read_metrics", "read_settings"]


class Model:
    """A trained task with its settings and figures.

    Calling it answers one text; `predict` answers any number in constant memory.
    """

    quantized: str | None = None
    """What `quantize` made of the weights: "int8"."""

    def __init__(self, task: Task, metrics: Mapping[str, Any]) -> None:
        self.task = task.eval()
        self.metrics = dict(metrics)
        keep_forks_alone()

    @property
    def settings(self) -> Settings:
        """The settings of the run that made the model."""
        return self.task.settings

    def __call__(self, text: str) -> Prediction:
        """Answer one text."""
        return self.task.answer_texts([text], batch_size=1)[0]

    def predict(self, texts: Iterable[str], *, batch_size: int = 64) -> Iterator[Prediction]:
        """Answer texts in their order, lazily."""
        return self.task.predict(texts, batch_size=batch_size)

    def predict_tokens(
        self, documents: Iterable[Sequence[str]], *, batch_size: int = 64
    ) -> Iterator[Prediction]:
        """Answer texts that another tokenizer has cut, lazily; token i of each is token i here.

        The model's normalizers are applied to one token at a time.

        Raises:
            InputError: its own tokens are no words, or its task reads no tokens.
        """
        return answer_words(self.task, documents, batch_size=batch_size)

    def annotate(
        self, batch: Mapping[str, Sequence[Any]], *, column: str | None = None, batch_size: int = 64
    ) -> dict[str, list[Any]]:
        """Answers as columns: `dataset.map(model.annotate, batched=True)`; see `tasks.annotating`.

        Args:
            batch: columns by name.
            column: the one with the texts; by default found by its usual names.
        """
        return annotate(self.task, batch, column=column, batch_size=batch_size)

    def watch(self, text: str) -> Generator[Beginning | Prediction, None, None]:
        """Answer a text while it is written: what is certain of it, step by step, and at last it.

        Whoever stops asking stops the work.
        """
        return self.task.watch(text)

    def stream(self) -> Stream:
        """Answer texts while they arrive; an InputError says so where the model cannot."""
        return self.task.stream()

    def quantize(self, kind: str = "int8") -> Model:
        """A copy that answers faster on a CPU, its recurrent weights int8; see `nn.quantize`.

        Raises:
            InputError: another kind, or a model that cannot be quantized.
        """
        from seqnlp.nn.quantization import quantize

        made = Model(quantize(self.task, kind), self.metrics)
        made.quantized = kind
        return made

    def corpus(self, name: str | None = None, columns: Mapping[str, str] | None = None) -> Corpus:
        """The corpus that the model was trained on, or another one, of which nothing is cut off."""
        return corpus_of(self.settings, self.task.fields, name, columns)

    def evaluate(
        self, corpus: Corpus, split: str = "test", *, batch_size: int = 64
    ) -> dict[str, Any]:
        """Every figure of the model on a split.

        Raises:
            InputError: no such split, or a reference that the task does not know.
        """
        examples = corpus.split(split)
        rows = self.task.read(examples)
        predictions = self.task.answer(rows, batch_size=batch_size)
        return self.task.report(predictions, self.task.references_in(corpus, split))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model's folder. A model that is there stays until the new one is on disk whole.

        Raises:
            InputError: the folder cannot be written to, or the model is a quantized one.
        """
        path = Path(folder)
        files = self.to_files(path.name)
        make_folders(path, files)
        write_together(path, files)

    def to_files(self, name: str = "model") -> dict[str, bytes]:
        """What `save` writes, by path in the model's folder; the manifest comes last.

        Args:
            name: what the model card calls the model.

        Raises:
            InputError: the model is a quantized one.
        """
        if self.quantized is not None:
            raise InputError(
                f"an {self.quantized} model is not saved: save the float one, and quantize it "
                "when it is loaded"
            )
        files = pipeline_files(self.task.pipelines)
        files["config.toml"] = self.settings.to_toml().encode()
        files["weights.safetensors"] = pack(self.task)
        manifest = Manifest(
            format=format_for(list(self.task.pipelines)),
            seqnlp=version("seqnlp"),
            torch=torch.__version__,
            state=self.task.state(),
            requires=requirements(self.task.named_parts(self.settings)),
            sha256={name: digest(data) for name, data in files.items()},
        )
        files |= self._figures(name)
        # The manifest comes last: a folder without one, or with another's, is noticed.
        files[MANIFEST] = (manifest.model_dump_json(indent=2) + "\n").encode()
        return files

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, device: str = "cpu") -> Model:
        """The model whose `to_files` these are.

        Raises:
            BundleError: they are not those of a model, or see `load`.
        """
        with tempfile.TemporaryDirectory(prefix="seqnlp-") as scratch:
            folder = Path(scratch) / "model"
            known = {name: data for name, data in files.items() if is_part(name)}
            make_folders(folder, known)
            for name, data in known.items():
                (folder / name).write_bytes(data)
            try:
                return load(folder, device=device)
            except BundleError as error:
                # That folder is gone when the message is read.
                raise BundleError(str(error).replace(scratch + os.sep, "")) from error

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copies, also those in other processes, are made of the files of a model.

        So is its fingerprint, which does not change with what it has answered.
        """
        if self.quantized is not None:
            return super().__reduce_ex__(protocol)
        return _again, (self.to_files(), str(self.task.device), self.task.decoding)

    def push_to_hub(
        self,
        repository: str,
        *,
        token: str | None = None,
        private: bool | None = None,
        commit_message: str = "Upload a model of seqnlp",
        revision: str | None = None,
        license: str | None = None,
        languages: Sequence[str] = (),
    ) -> str:
        """Make this the model of a repository on the Hugging Face Hub; see `hub.push`.

        Args:
            repository: owner/name.
            token, private, commit_message, revision: see there.
            license: of the model, an identifier such as "mit"; what the card leaves open otherwise.
            languages: codes of those that it reads and writes, where its corpus does not say them.

        Returns:
            The address of the commit.

        Raises:
            InputError: it cannot be pushed; the message says why.
        """
        address = f"hf:{repository.removeprefix('hf:')}"
        name = address.rpartition("/")[2]
        card = model_card(
            self.task, self.metrics, name, address=address, license=license, languages=languages
        )
        return hub.push(
            {**self.to_files(name), "README.md": card.encode()},
            repository,
            token=token,
            private=private,
            message=commit_message,
            revision=revision,
        )

    def save_metrics(self, folder: str | os.PathLike[str]) -> None:
        """Write the figures and the model card of a saved model anew.

        Raises:
            InputError: the folder cannot be written to.
        """
        write_together(Path(folder), self._figures(Path(folder).name))

    def _figures(self, name: str) -> dict[str, bytes]:
        return {
            "metrics.json": (json.dumps(self.metrics, indent=2) + "\n").encode(),
            "README.md": model_card(self.task, self.metrics, name).encode(),
        }


def load(
    folder: str | os.PathLike[str], *, device: str = "cpu", engine: str | None = None
) -> Model:
    """Load a model from its folder, or from the Hugging Face Hub.

    Args:
        folder: that it was saved in; or "hf:owner/name", "hf:owner/name@revision".
        device: of torch's.
        engine: runs the recurrences in place of the engine that the model's settings name.

    Raises:
        BundleError: no model there, a damaged one, one from a newer version, or one that needs a
            package that is not installed; the message says which.
        InputError: a model of the Hub that cannot be had; see `hub.fetch`.
        UnknownNameError: no engine has that name.
    """
    path = find_folder(folder)
    manifest = read_manifest(path)
    check_requirements(path, manifest.requires)
    check_digests(path, manifest, ["config.toml"])
    settings = read_settings(path)
    task_class = registry.tasks.get(settings.task)
    names = task_class.pipeline_names
    check_digests(path, manifest, hashed_files(names))
    pipelines = {
        name: TokenPipeline.load(path / name if number else path)
        for number, name in enumerate(names)
    }
    weights = read_weights(path)
    try:
        with Bound(weights):
            task: Task = task_class.restore(settings, pipelines, manifest.state)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BundleError(f"{path / MANIFEST}: damaged: no state of this task: {error}") from error
    fill(task, weights, path)
    if engine is not None:
        set_engine(task, engine)
    return Model(task.to(device), read_metrics(path))


def _again(files: Mapping[str, bytes], device: str, decoding: Any) -> Model:
    """A copy of a model, which decodes as that did."""
    made = Model.from_files(files, device=device)
    made.task.decoding = decoding
    return made
