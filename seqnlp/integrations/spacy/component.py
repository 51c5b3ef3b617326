"""What answers the documents of a spaCy pipeline."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import srsly  # type: ignore[import-untyped]
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import raise_error

from seqnlp.errors import BundleError, InputError
from seqnlp.integrations.spacy.attributes import (
    can_be_read,
    default_attribute,
    find_sources,
    find_spans,
)

if TYPE_CHECKING:
    from seqnlp.bundle import Model
    from seqnlp.types import Prediction

ErrorHandler = Callable[[str, Any, list[Doc], Exception], object]


class SeqnlpComponent:
    """Answers the texts of documents with a saved model.

    The probabilities of labels are in `doc.cats`; the label, the translation or the summary is an
    attribute `doc._.NAME`. The sentences that a model has picked are also `doc.spans[NAME]`, and
    where it wrote a text from the pipeline's tokens, `doc._.NAME_sources` is a list of [token,
    index]: each token of that text, and the token of the document that it attends to most, or None.

    The model is loaded when it is first needed, so that a pipeline that brings its own does not
    look for the one that it was made with.

    Args:
        nlp: the pipeline.
        name: of the component in it.
        model: a folder, or `hf:owner/name`; None where `from_disk` or `from_bytes` follows.
        threshold: a label of a lower probability is None.
        attribute: NAME; by default seqnlp_label, translation or summary.
        tokens: "model" for those of the model's own tokenizer, "doc" for those of the pipeline.
        cats: whether probabilities go to `doc.cats`.
        batch_size: texts that the network reads at once.
    """

    def __init__(
        self,
        nlp: Language,
        name: str,
        model: str | None = None,
        *,
        threshold: float | None = None,
        attribute: str | None = None,
        tokens: Literal["model", "doc"] = "model",
        cats: bool = True,
        batch_size: int = 64,
    ) -> None:
        from seqnlp.nn.forking import keep_forks_alone

        if threshold is not None and not 0 <= threshold <= 1:
            raise InputError(f"{name}: threshold: a probability is expected, not {threshold}")
        if batch_size < 1:
            raise InputError(f"{name}: batch_size: at least 1 is expected, not {batch_size}")
        if attribute is not None and not can_be_read(attribute):
            raise InputError(f"{name}: attribute: {attribute!r} cannot stand in doc._.NAME")
        self.name, self.source, self.tokens, self.cats = name, model, tokens, cats
        self.threshold, self.batch_size = threshold, batch_size
        self._attribute = attribute
        self._model: Model | None = None
        self._handler: ErrorHandler = raise_error
        # It holds this component: the other way round they would keep each other alive.
        self._nlp: Callable[[], Language | None] = weakref.ref(nlp)
        keep_forks_alone()  # which may be the first to load the model
        # Documents that other processes have answered are read in one that needs no model.
        if (known := attribute or _glance(model)) is not None:
            self._extend(known)

    def load(self) -> Model:
        """The model, loaded now if it was not.

        Raises:
            InputError: there is none, or it does not go with the configuration or with another
                component.
        """
        if self._model is None:
            from seqnlp.bundle import load

            if self.source is None:
                raise InputError(
                    f"{self.name}: no model yet: name one in the component's config, "
                    "config={'model': 'runs/...'}, or load the pipeline with from_disk or "
                    "from_bytes"
                )
            self._take(load(self.source))
        assert self._model is not None
        return self._model

    @property
    def attribute(self) -> str:
        """NAME in `doc._.NAME`."""
        return self._attribute or default_attribute(self.load().task)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of a model that is loaded."""
        return () if self._model is None else _labels(self._model)

    def __call__(self, doc: Doc) -> Doc:
        """Answer one document."""
        try:
            [answer] = self._answer([doc])
            self._write(doc, answer)
        except Exception as error:
            self._handler(self.name, self, [doc], error)
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 1000) -> Iterator[Doc]:
        """Answer documents in their order, `batch_size` of them taken from the stream at once.

        Those that an error handler has been given are left out, as components of spaCy do.
        """
        documents = iter(stream)
        while docs := list(islice(documents, batch_size)):
            try:
                for doc, answer in zip(docs, self._answer(docs), strict=True):
                    self._write(doc, answer)
            except Exception as error:
                self._handler(self.name, self, docs, error)
            else:
                yield from docs

    def set_error_handler(self, handler: ErrorHandler) -> None:
        """See `Language.set_error_handler`."""
        self._handler = handler

    def get_error_handler(self) -> ErrorHandler:
        """What is called with documents that could not be answered."""
        return self._handler

    def to_disk(self, path: str | Path, *, exclude: Collection[str] = ()) -> None:
        """Save the model in a folder, which is one for `seqnlp.load`, too."""
        self.load().save(path)

    def from_disk(self, path: str | Path, *, exclude: Collection[str] = ()) -> SeqnlpComponent:
        """Load it from there.

        Raises:
            InputError: see `seqnlp.load` and `load`.
        """
        from seqnlp.bundle import load

        self._take(load(path))
        return self

    def to_bytes(self, *, exclude: Collection[str] = ()) -> bytes:
        """The files of the model as one message."""
        made: bytes = srsly.msgpack_dumps(self.load().to_files(self.name))
        return made

    def from_bytes(self, data: bytes, *, exclude: Collection[str] = ()) -> SeqnlpComponent:
        """The other way.

        Raises:
            InputError: see `seqnlp.load` and `load`.
        """
        from seqnlp.bundle import Model

        try:
            files = srsly.msgpack_loads(data)
        except Exception as error:  # of several kinds
            raise BundleError(f"{self.name}: damaged: not the bytes of a component") from error
        if not isinstance(files, dict) or not all(
            isinstance(each, bytes) for each in files.values()
        ):
            raise BundleError(f"{self.name}: damaged: not the bytes of a component")
        self._take(Model.from_files(files))
        return self

    def __getstate__(self) -> dict[str, Any]:
        """For other processes, whose copy of the component stands in no pipeline."""
        return {**self.__dict__, "_nlp": _nowhere}

    def _take(self, model: Model) -> None:
        """Make a model the component's own, if it can be."""
        name = self._attribute or default_attribute(model.task)
        if self.threshold is not None and not _labels(model):
            raise InputError(
                f"{self.name}: threshold: the task {model.settings.task!r} has no labels"
            )
        nlp = self._nlp()
        for other_name, other in nlp.components if nlp is not None else ():
            if other is self or not isinstance(other, SeqnlpComponent) or other._model is None:
                continue
            if other.attribute == name:
                raise InputError(
                    f"{self.name}: doc._.{name} is written by the component {other_name!r} of this "
                    "pipeline; give one of them config={'attribute': ...}"
                )
            shared = set(_labels(model)) & set(other.labels) if self.cats and other.cats else ()
            if shared:
                raise InputError(
                    f"{self.name}: doc.cats[{min(shared)!r}] is written by the component "
                    f"{other_name!r} of this pipeline; give one of them config={{'cats': False}}"
                )
        self._extend(name)
        self._model = model

    def _extend(self, name: str) -> None:
        for each in (name, f"{name}_sources")[: 2 if self.tokens == "doc" else 1]:
            if not Doc.has_extension(each):
                Doc.set_extension(each, default=None)
            elif Doc.get_extension(each) != (None, None, None, None):
                raise InputError(
                    f"{self.name}: doc._.{each} is an extension of another kind already; give the "
                    "component config={'attribute': ...}"
                )

    def _answer(self, docs: Sequence[Doc]) -> list[Prediction]:
        model = self.load()
        if self.tokens == "doc":
            words = ([token.text for token in doc if not token.is_space] for doc in docs)
            return list(model.predict_tokens(words, batch_size=self.batch_size))
        return list(model.predict((doc.text for doc in docs), batch_size=self.batch_size))

    def _write(self, doc: Doc, answer: Prediction) -> None:
        name, shares, output = self.attribute, answer.probabilities, answer.output
        self._extend(name)  # in another process, nobody has
        if shares is not None:
            if self.cats:
                doc.cats.update(shares)
            sure = self.threshold is None or shares[output] >= self.threshold
            doc._.set(name, output if sure else None)
            return
        doc._.set(name, output)
        if not answer.source_tokens and answer.hypotheses:
            doc.spans[name] = find_spans(doc, answer.hypotheses[0].tokens)
        if self.tokens == "doc":
            doc._.set(f"{name}_sources", find_sources(doc, answer))


def _nowhere() -> None:
    """In place of a reference to a pipeline, of a component that is in none."""


def _glance(source: str | None) -> str | None:
    """The attribute of a model that is in reach, without loading it."""
    from seqnlp import registry
    from seqnlp.bundle import read_settings

    try:
        folder = _in_reach(source)
        task = None if folder is None else registry.tasks.get(read_settings(folder).task)
    except InputError:  # said when the model is needed, unless another takes its place
        return None
    return None if task is None else default_attribute(task)


def _in_reach(source: str | None) -> Path | None:
    from seqnlp import hub

    if source is None:
        return None
    return hub.cached(source) if hub.is_on_hub(source) else Path(source)


def _labels(model: Model) -> tuple[str, ...]:
    return tuple(model.task.state().get("labels", ()))
