"""JoeyNMT as a contender; run by the Python of an environment that has it.

Kreutzer et al. 2019, arXiv:1907.12484; version 2.3.0. Its model, data, optimizer and search are
its own. Its loop over batches is run here step by step, since it cannot pause: the same calls that
its `train_and_validate` makes. Learning rates fall exponentially, because its plateau schedule
passes an argument that torch has dropped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joeynmt.config import load_config, parse_global_args
from joeynmt.prediction import predict, prepare
from joeynmt.training import TrainManager

from translators.protocol import Answer, serve

SETTINGS: dict[str, Any] = {
    "name": "benchmark",
    "joeynmt_version": "2.3.0",
    "use_cuda": False,
    "testing": {
        "beam_size": 1,
        "beam_alpha": 1.0,
        "batch_size": 64,
        "batch_type": "sentence",
        "max_output_length": 60,
        "eval_metrics": ["bleu"],
        "sacrebleu_cfg": {"tokenize": "none"},
    },
    "training": {
        "optimizer": "adam",
        "normalization": "tokens",
        "learning_rate": 1e-3,
        "scheduling": "exponential",
        "decrease_factor": 0.99,
        "batch_size": 64,
        "batch_type": "sentence",
        "clip_grad_norm": 1.0,
        "epochs": 1,
        "early_stopping_metric": "bleu",
        "loss": "crossentropy",
        "label_smoothing": 0.0,
    },
    "model": {
        "initializer": "xavier_uniform",
        "bias_initializer": "zeros",
        "encoder": {
            "type": "recurrent",
            "rnn_type": "gru",
            "embeddings": {"embedding_dim": 256, "dropout": 0.3},
            "hidden_size": 256,
            "bidirectional": True,
            "dropout": 0.3,
            "num_layers": 1,
        },
        "decoder": {
            "type": "recurrent",
            "rnn_type": "gru",
            "embeddings": {"embedding_dim": 256, "dropout": 0.3},
            "hidden_size": 256,
            "dropout": 0.3,
            "hidden_dropout": 0.3,
            "num_layers": 1,
            "input_feeding": True,
            "init_hidden": "bridge",
            "attention": "bahdanau",
        },
    },
}


class JoeyNMT:
    """The model of the benchmark in JoeyNMT.

    Args:
        corpus: the folder of `multi30k_tok`.
        scratch: where JoeyNMT may write.
        threads: of torch.
    """

    def __init__(self, corpus: Path, scratch: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        side = {"level": "word", "lowercase": False, "max_length": 100, "voc_min_freq": 2}
        settings = {
            **SETTINGS,
            "model_dir": str(scratch / "joeynmt"),
            "data": {
                "train": str(corpus / "train"),
                "dev": str(corpus / "val"),
                "test": str(corpus / "test_2016_flickr"),
                "dataset_type": "plain",
                "src": {"lang": "de", **side},
                "trg": {"lang": "en", **side},
            },
        }
        (scratch / "joeynmt").mkdir(exist_ok=True)
        recipe = scratch / "joeynmt.yaml"
        # JSON is YAML too.
        recipe.write_text(json.dumps(settings), encoding="utf-8")
        self.args = parse_global_args(load_config(recipe), rank=0, mode="train")
        self.model, self.train_data, _, self.test_data = prepare(self.args, rank=0, mode="train")
        self.manager = TrainManager(
            rank=0,
            model=self.model,
            model_dir=self.args.model_dir,
            device=self.args.device,
            autocast=self.args.autocast,
            train_args=self.args.train,
            dev_args=self.args.test,
        )
        self.batches = self._batches()

    def _batches(self) -> Iterator[Any]:
        while True:
            yield from self.train_data.make_iter(
                batch_size=self.args.train.batch_size,
                batch_type=self.args.train.batch_type,
                seed=1,
                shuffle=True,
                num_workers=0,
                device=self.args.device,
                eos_index=self.model.eos_index,
                pad_index=self.model.pad_index,
            )

    def train(self, steps: int) -> Answer:
        """Train; the answer says how many target tokens."""
        tokens = 0
        for _ in range(steps):
            batch = next(self.batches)
            self.manager._train_step(batch)
            self.manager.clip_grad_fun(parameters=self.model.parameters())
            self.manager.optimizer.step()
            self.model.zero_grad()
            tokens += int(batch.ntokens)
        parameters = sum(weight.numel() for weight in self.model.parameters())
        return {"tokens": tokens, "parameters": parameters}

    def load(self, path: str) -> Answer:
        """Take the weights of an .npz file, whose rows of words are those of its word lists."""
        with np.load(path) as file:
            weights = {name: torch.from_numpy(file[name]) for name in file.files if "/" not in name}
            words = {side: file[f"words/{side}"].tolist() for side in ("src", "trg")}
        for side, vocabulary in (("src", self.model.src_vocab), ("trg", self.model.trg_vocab)):
            rows = {word: row for row, word in enumerate(words[side])}
            # It reads an empty word where two spaces stand.
            order = torch.tensor([rows.get(word, rows["<unk>"]) for word in vocabulary._itos])
            for name in (
                f"{side}_embed.lut.weight",
                *(["decoder.output_layer.weight"] * (side == "trg")),
            ):
                weights[name] = weights[name][order]
        self.model.load_state_dict(weights)
        return {}

    def translate(self, beam: int) -> Answer:
        """Translate the test split."""
        test = self.args.test._replace(beam_size=beam)
        found = predict(
            model=self.model,
            data=self.test_data,
            device=self.args.device,
            n_gpu=0,
            compute_loss=False,
            normalization="none",
            args=test,
            autocast=self.args.autocast,
        )
        return {"sentences": len(found[2]), "texts": list(found[2])}


if __name__ == "__main__":
    contender = JoeyNMT(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    serve({"train": contender.train, "load": contender.load, "translate": contender.translate})
