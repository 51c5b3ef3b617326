"""seqnlp as a contender: its own Trainer on its own settings, paused between requests."""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqnlp import registry
from seqnlp.config import load_settings
from seqnlp.data.corpus import open_corpus
from seqnlp.data.split import Split
from seqnlp.tasks.decoding import Decoding
from seqnlp.training.hooks.base import Hook
from seqnlp.training.preparation import complete, make_hooks
from seqnlp.training.trainer import Trainer
from translators.protocol import Answer, serve

GATES = {"weight_x": "weight_ih", "weight_h": "weight_hh", "bias": "bias_ih", "bias_h": "bias_hh"}


class Pace(Hook):
    """Lets training go on for as many steps as were asked for."""

    order = 100

    def __init__(self) -> None:
        self.allowed, self.done = Semaphore(0), Semaphore(0)

    def on_batch_start(self, trainer: Trainer) -> None:
        self.allowed.acquire()

    def on_step_end(self, trainer: Trainer) -> None:
        self.done.release()


class Seqnlp:
    """A task on its way through training.

    Args:
        recipe: a TOML file, or None for the task's defaults.
        overrides: as of `--set`.
        threads: of torch.
        unknown: share of the source's words that are replaced, in the texts that are trained on,
            by words which occur nowhere else; the vocabulary is that of the texts as they were.
    """

    def __init__(
        self, recipe: Path | None, overrides: list[str], threads: int, unknown: float | None
    ) -> None:
        task_class = registry.tasks.get(load_settings(recipe, overrides).task)
        settings = complete(load_settings(recipe, overrides, base=task_class.defaults))
        torch.set_flush_denormal(True)
        torch.set_num_threads(threads)
        torch.manual_seed(settings.seed)
        chosen = settings.corpus
        self.corpus = open_corpus(
            chosen.name,
            fields=task_class.fields,
            languages=(chosen.source, chosen.target),
            max_ratio=chosen.max_ratio,
        )
        self.task = task_class.create(settings, self.corpus)
        self.tokens, self.pace = 0, Pace()
        self._count_tokens()
        hooks = [*make_hooks(settings, None), self.pace]
        self.trainer = Trainer(self.task, settings.train, hooks, seed=settings.seed)
        train = self.corpus.split("train")
        if unknown is not None:
            train = with_unknown_words(train, task_class.pipeline_names, unknown)
        rows = self.task.read(train, training=True)
        Thread(target=self._fit, args=(rows, threads), daemon=True).start()

    def _count_tokens(self) -> None:
        loss = self.task.loss

        def counted(batch: Any) -> Any:
            found = loss(batch)
            self.tokens += int(found.units)
            return found

        self.task.loss = counted

    def _fit(self, rows: Any, threads: int) -> None:
        torch.set_num_threads(threads)
        self.trainer.fit(rows, None)

    def train(self, steps: int) -> Answer:
        """Train; the answer says how many target tokens."""
        before = self.tokens
        self.pace.allowed.release(steps)
        for _ in range(steps):
            self.pace.done.acquire()
        return {**self.count(), "tokens": self.tokens - before, "steps": steps}

    def count(self) -> Answer:
        """How many numbers are learned."""
        return {"parameters": self.trainer.parameters}

    def translate(self, beam: int) -> Answer:
        """Translate the test split, as JoeyNMT is set to."""
        self.task.decoding = Decoding(beam=beam, length_penalty=1.0, max_length=60)
        texts = list(self.corpus.split("test").column("source"))
        with self.task.evaluating():
            found = [answer.output for answer in self.task.predict(texts, batch_size=64)]
        return {"sentences": len(found), "texts": found}

    def save(self, path: str) -> Answer:
        """Write the weights by JoeyNMT's names. Biases that its model lacks become zero first."""
        (network,) = self.task.members
        weights = {name: weight.numpy() for name, weight in joeynmt_weights(network).items()}
        pipelines = self.task.pipelines
        # JoeyNMT's names of the special tokens; the source has no beginning.
        own = {"<bos>": "<s>", "<eos>": "</s>"}
        for side, name in (("src", "source"), ("trg", "target")):
            vocabulary = pipelines[name].vocabulary
            words = [own.get(word, word) for word in vocabulary.specials] + list(vocabulary.tokens)
            if "<s>" not in words:
                words.append("<s>")
                table = f"{side}_embed.lut.weight"
                weights[table] = np.vstack([weights[table], np.zeros_like(weights[table][:1])])
            weights[f"words/{side}"] = np.array(words)
        np.savez(path, allow_pickle=False, **weights)
        return {}


def with_unknown_words(
    train: Split, fields: tuple[str, str], share: float, most: int = 1000
) -> Split:
    """The first rows of a split, a share of the words of their sources replaced by new ones.

    Marks stay where they are, so that the sources are as long as they were.
    """
    draw, count = random.Random(0), itertools.count()
    source, target = fields

    def other(word: re.Match[str]) -> str:
        return f"unseen{next(count)}" if draw.random() < share else word[0]

    examples = [
        {
            source: re.sub(r"\w+", other, row[source]),
            target: row[target],
        }
        for row in itertools.islice(train, most)
    ]
    return Split.from_examples("train", examples)


@torch.no_grad()
def joeynmt_weights(network: Any) -> Mapping[str, Tensor]:
    """The weights of the benchmark's model by the names of JoeyNMT's."""
    encoder, decoder = network.encoder, network.decoder
    layer, attention, readout = decoder.layers[0], decoder.attention, decoder.readout
    for bias in (network.output.bias, attention.query_projection.bias):
        bias.zero_()
    recurrent = {
        "encoder.rnn.{}_l0": encoder.layers[0].forward_cell,
        "encoder.rnn.{}_l0_reverse": encoder.layers[0].backward_cell,
        "decoder.rnn.{}_l0": layer.forward_cell,
    }
    return {
        "src_embed.lut.weight": network.source_embedding.words.detach(),
        "trg_embed.lut.weight": network.target_embedding.words.detach(),
        "decoder.output_layer.weight": network.output.weight.detach(),
        "decoder.att_vector_layer.weight": readout.map.weight.detach(),
        "decoder.att_vector_layer.bias": readout.map.bias.detach(),
        "decoder.attention.key_layer.weight": attention.key_projection.weight.detach(),
        "decoder.attention.query_layer.weight": attention.query_projection.weight.detach(),
        "decoder.attention.energy_layer.weight": attention.vector.detach().unsqueeze(0),
        "decoder.bridge_layer.weight": decoder.bridges[0].map.weight.detach(),
        "decoder.bridge_layer.bias": decoder.bridges[0].map.bias.detach(),
        **{
            pattern.format(theirs): getattr(cell, own).detach()
            for pattern, cell in recurrent.items()
            for own, theirs in GATES.items()
        },
    }


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    recipe = Path(given["recipe"]) if given["recipe"] else None
    contender = Seqnlp(recipe, given["overrides"], given["threads"], given["unknown"])
    serve(
        {
            "count": contender.count,
            "train": contender.train,
            "translate": contender.translate,
            "save": contender.save,
        }
    )
