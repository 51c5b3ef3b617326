"""The task `speech`: sound to text, by connectionist temporal classification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqnlp.config import Settings
from seqnlp.data import Corpus, Split
from seqnlp.errors import InputError
from seqnlp.nn import EncoderState
from seqnlp.tasks import Batch, Rows, Task
from seqnlp.text import TokenPipeline, normalize
from seqnlp.types import Field, Loss, Prediction
from seqnlp_speech.answering import answer_from, search_for
from seqnlp_speech.corpus import locate
from seqnlp_speech.decoding import GreedySearch
from seqnlp_speech.features import deltas
from seqnlp_speech.frames import Ear, HeardFrames, open_frames
from seqnlp_speech.language_model import LanguageModel
from seqnlp_speech.network import Recognizer, ctc_loss, loss_of
from seqnlp_speech.normalization import NORMALIZERS
from seqnlp_speech.options import SpeechOptions, options_of
from seqnlp_speech.rates import compare_rates, error_report, rates_of, statistics
from seqnlp_speech.rows import SpeechBatch, SpeechRows
from seqnlp_speech.streaming import SpeechStream
from seqnlp_speech.symbols import Symbols

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "corpus": {"name": "speech:manifest.tsv"},
        "model": {"cell": "lstm", "hidden_size": 128, "layers": 2},
        "train": {"epochs": 20, "batch_size": 16, "lr": 2e-3, "monitor": "cer"},
        "hooks": {
            "dropout": {"word": 0.0, "embedding": 0.0, "layer": 0.2, "output": 0.2},
            "schedule": {"kind": "cosine", "warmup": 1.0, "final": 0.02},
            "early_stopping": False,
        },
    }
)
"""Settings that suit speech where a recipe does not say otherwise."""

Floats = NDArray[np.float64]
MOST_MEMBERS = 1000


class SpeechTask(Task):
    """Speech recognition: the text of a WAV file, by CTC over any cell."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(name="audio", aliases=("audio", "path", "file", "wav", "filename", "audio_path")),
        Field(name="transcript", aliases=("transcript", "text", "sentence", "transcription")),
        Field(name="speaker", aliases=("speaker", "speaker_id", "client_id"), required=False),
    )
    Options = SpeechOptions
    figures = ("cer", "wer", "loss")
    lower_is_better = frozenset(figures)
    defaults: ClassVar[Mapping[str, Any]] = DEFAULTS
    pipeline_names = ()
    reads_files = True

    def __init__(
        self, settings: Settings, symbols: Symbols, *, members: int = 1, ngrams: int = 0
    ) -> None:
        super().__init__()
        self.settings, self.symbols = settings, symbols
        self.options = options_of(settings)
        self.search = self.options.search
        """How texts are found. May be replaced."""
        features = self.options.features
        self.ear = Ear(features)
        self.normalizer = NORMALIZERS[features.normalization](features.bands)
        self.members = nn.ModuleList(
            Recognizer(settings.model, self.options, symbols=len(symbols)) for _ in range(members)
        )
        self.ngrams: Tensor
        order = self.options.lm_order
        self.register_buffer("ngrams", torch.zeros(ngrams, order + 1, dtype=torch.int64))
        self._language_model: LanguageModel | None = None

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> SpeechTask:
        train = corpus.split("train")
        options = options_of(settings)
        texts = [plain(text, settings) for text in train.column("transcript")]
        symbols = Symbols.fit(texts, options.symbols)
        counts = None
        if options.lm_order:
            encoded = (symbols.encode(text) for text in texts)
            counts = LanguageModel.fit(encoded, symbols=len(symbols), order=options.lm_order)
        task = cls(settings, symbols, ngrams=len(counts.counts) if counts else 0)
        if counts is not None:
            task.ngrams.copy_(counts.to_tensor())
        heard = open_frames(task._files(train))
        task.normalizer.fit(heard[number] for number in range(len(heard)))
        return task

    @classmethod
    def restore(
        cls, settings: Settings, pipelines: Mapping[str, TokenPipeline], state: Mapping[str, Any]
    ) -> SpeechTask:
        names, members, ngrams = state["symbols"], state["members"], state["ngrams"]
        if not all(isinstance(name, str) for name in names):
            raise ValueError("symbols must be strings")
        if not 0 <= members <= MOST_MEMBERS or ngrams < 0:
            raise ValueError(f"members must be 0 to {MOST_MEMBERS}, ngrams not negative")
        symbols = Symbols(names, options_of(settings).symbols)
        return cls(settings, symbols, members=members, ngrams=ngrams)

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        first = tasks[0]
        if any(task.symbols.names != first.symbols.names for task in tasks):
            raise ValueError("tasks of different symbols cannot be combined")
        combined = cls.restore(first.settings, {}, {**first.state(), "members": 0})
        combined.members.extend(member for task in tasks for member in task.members)
        combined.normalizer.load_state_dict(first.normalizer.state_dict())
        combined.ngrams.copy_(first.ngrams)
        return combined  # type: ignore[return-value]

    def state(self) -> dict[str, Any]:
        return {
            "symbols": list(self.symbols.names),
            "members": len(self.members),
            "ngrams": len(self.ngrams),
        }

    def read(self, split: Split, *, training: bool = False) -> SpeechRows:
        texts = self.references(split)
        targets = [self.symbols.encode(t) if self.symbols.known(t) else [] for t in texts]
        rows = SpeechRows(
            open_frames(self._files(split)),
            self.prepare,
            stride=self.options.features.stride,
            targets=targets,
        )
        if not training:
            return rows
        fits = rows.learnable()
        if not fits.any():
            raise InputError(f"{split.origin}: no utterance is as long as its transcript needs")
        if fits.all():
            return rows
        first = split.where(int(np.flatnonzero(~fits)[0]))
        return rows.select(
            fits,
            notes=[
                f"train: {(~fits).sum():,} of {len(fits):,} utterances have fewer steps than their "
                f"transcripts need and are not learned from, the first at {first}; "
                f"head.features.stride below {self.options.features.stride} makes more steps"
            ],
        )

    def read_texts(self, texts: Sequence[str]) -> SpeechRows:
        """The rows of WAV files, by their paths."""
        heard = HeardFrames([Path(text) for text in texts], self.ear)
        return SpeechRows(heard, self.prepare, stride=self.options.features.stride)

    def _files(self, split: Split) -> HeardFrames:
        paths = [locate(audio, split.origin) for audio in split.column("audio")]
        return HeardFrames(paths, self.ear, split.where)

    def prepare(self, frames: Tensor) -> Tensor:
        """Features float [T, D] of the frames float [T, bands] of an utterance."""
        made = [self.normalizer(frames.to(self.device))]
        for _ in range(self.options.features.deltas):
            made.append(deltas(made[-1]))
        return torch.cat(made, dim=1)

    def loss(self, batch: Batch) -> Loss:
        """See `ctc_loss`; summed over rows and members, a unit is a symbol."""
        assert isinstance(batch, SpeechBatch)
        assert batch.targets is not None
        assert batch.target_lengths is not None
        total = torch.zeros((), device=self.device)
        for member in self.members:
            logs, steps = member(batch.features, batch.frames)
            total = total + ctc_loss(logs, steps, batch.targets, batch.target_lengths)
        return Loss(
            total=total, units=float(batch.target_lengths.clamp(min=1).sum()) * len(self.members)
        )

    def log_probabilities(self, rows: SpeechRows, *, batch_size: int) -> Iterator[
        tuple[int, Floats]
    ]:  # fmt: skip
        """Of each row, the number and log-probabilities float [M, T, V]; not in order."""
        order = np.argsort(rows.lengths, kind="stable")
        with self.evaluating(), torch.inference_mode():
            for begin in range(0, len(order), batch_size):
                indices = order[begin : begin + batch_size]
                batch = rows.batch(indices).to(self.device)
                made = [member(batch.features, batch.frames)[0] for member in self.members]
                logs = torch.stack(made).double().cpu().numpy()
                for row, index in enumerate(indices.tolist()):
                    yield index, logs[:, row, : rows.lengths[index]]

    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        assert isinstance(rows, SpeechRows)
        found: dict[int, Prediction] = {}
        for index, logs in self.log_probabilities(rows, batch_size=batch_size):
            search = search_for(self)
            search.advance(logs)
            found[index] = answer_from(self, search, logs)
        return [found[index] for index in range(len(rows.lengths))]

    def stream(self) -> SpeechStream:
        return SpeechStream(self)

    def initial_states(self) -> list[EncoderState]:
        """Of each member, before the first step of one utterance; see `Encoder.initial_state`."""
        return [cast("Recognizer", each).encoder.initial_state(1) for each in self.members]

    @property
    def language_model(self) -> LanguageModel | None:
        """What the transcripts of train look like; None with `lm_order` 0."""
        if self._language_model is None and self.options.lm_order:
            counts = self.ngrams.cpu()
            self._language_model = LanguageModel.from_tensor(counts, symbols=len(self.symbols))
        return self._language_model

    def references(self, split: Split) -> list[str]:
        return [plain(text, self.settings) for text in split.column("transcript")]

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[str]
    ) -> dict[str, float]:
        """The figures cer and wer."""
        found = statistics([p.output for p in predictions], references)
        return {name: float(rate) for name, rate in rates_of(found.sum(0)).items()}

    def figures_on(self, rows: Rows) -> tuple[str, ...]:
        assert isinstance(rows, SpeechRows)
        return self.figures if rows.learnable().any() else ("cer", "wer")

    def validate(
        self, rows: Rows, references: Sequence[str], *, batch_size: int
    ) -> dict[str, float]:
        """Of greedy answers, whatever the search; and the loss of all that can have one."""
        assert isinstance(rows, SpeechRows)
        texts, fits = [""] * len(references), rows.learnable()
        total = units = 0.0
        for index, logs in self.log_probabilities(rows, batch_size=batch_size):
            greedy = GreedySearch()
            greedy.advance(logs)
            texts[index] = self.symbols.decode(greedy.best()[0].symbols)
            if fits[index]:
                total += float(loss_of(torch.from_numpy(logs), rows.target(index)))
                units += len(rows.target(index)) * len(logs)
        found = self.score([Prediction(output=text) for text in texts], references)
        return found | ({"loss": total / units} if units else {})

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[str]
    ) -> dict[str, Any]:
        return error_report([p.output for p in predictions], references)

    def compare(
        self,
        first: Sequence[Prediction],
        second: Sequence[Prediction],
        references: Sequence[str],
    ) -> dict[str, dict[str, Any]]:
        """See `Task.compare`; of CER and WER."""
        return compare_rates(
            [p.output for p in first], [p.output for p in second], references
        )  # fmt: skip

    @classmethod
    def named_parts(cls, settings: Settings) -> list[tuple[str, str]]:
        parts = super().named_parts(settings)
        return [*parts, *(("normalizers", name) for name in settings.text.normalizers)]

    def baselines(self, corpus: Corpus) -> dict[str, dict[str, Any]]:
        """The answer that is right most often in train, whatever is said."""
        if "test" not in corpus.splits:
            return {}
        said = Counter(self.references(corpus.split("train"))).most_common(1)[0][0]
        references = self.references(corpus.split("test"))
        return {f"always {said!r}": error_report([said] * len(references), references)}


def plain(text: str, settings: Settings) -> str:
    """A transcript as it is learned and scored: normalized, its words one space apart."""
    return " ".join(normalize(text, settings.text.normalizers).split())
