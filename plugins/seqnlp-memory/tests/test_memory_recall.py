"""The task recall and its corpora, from a name to figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from seqnlp_memory.codes import BitCode, SymbolCode, code_from, find_code
from seqnlp_memory.figures import Reference, measure, score_of
from seqnlp_memory.sequences import Request

import seqnlp
from seqnlp.data import Corpus, Split, open_corpus
from seqnlp.errors import InputError, SettingsError
from seqnlp.registry import corpora, tasks
from seqnlp.types import Prediction

Recall = tasks.get("recall")


def corpus(name: str, seed: int = 0) -> Corpus:
    return open_corpus(name, fields=Recall.fields, seed=seed)


def settings(*overrides: str, name: str = "copy:1-3,bits=3,train=64,validation=16,each=4") -> Any:
    return seqnlp.load_settings(
        overrides=[f"corpus.name={name}", "task=recall", "train.epochs=1", *overrides],
        base=Recall.defaults,
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("copy:1-5,bits=4", lambda words, count: words),
        ("reverse:1-5,symbols=5", lambda words, count: words[::-1]),
        ("repeat_copy:1-4,repeats=2-3,bits=2", lambda words, count: words * count),
    ],
)
def test_the_answers_of_a_corpus_are_right(name: str, expected: Any) -> None:
    made = corpus(f"{name},train=50,validation=20,each=3")
    assert set(made.splits) == {"train", "validation", "test"}
    for split in made.splits.values():
        for row in split:
            request = Request.parse(row["sequence"], "here")
            assert tuple(row["answer"].split()) == expected(request.words, request.count)


def test_lengths_and_repeats_are_those_that_were_asked_for() -> None:
    made = corpus(
        "repeat_copy:2-4,repeats=2-3,train=200,test=7/9,test_repeats=5,each=2,validation=99"
    )
    found = {
        name: {(len(r.words), r.count) for r in (Request.parse(t, "") for t in split.column("sequence"))}
        for name, split in made.splits.items()
    }  # fmt: skip
    assert found["train"] == {(n, k) for n in (2, 3, 4) for k in (2, 3)}
    assert found["validation"] == {(n, k) for n in range(2, 7) for k in range(2, 6)}
    assert found["test"] == {(7, 5), (9, 5)}
    assert len(made.split("test")) == 4
    lengths = {
        len(text.split()) for text in corpus("copy:3,train=20").split("test").column("sequence")
    }
    assert lengths == {4, 8, 15, 18}


def test_a_seed_draws_other_training_sequences_and_the_same_to_be_measured_on() -> None:
    first, again, other = (corpus("copy:1-6,train=30", seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint
    assert list(first.split("train")) != list(other.split("train"))
    for name in ("validation", "test"):
        assert list(first.split(name)) == list(other.split(name))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("copy:5-1", "lengths is '5-1'; expected from 1 upwards, the least first"),
        ("copy:0-3", "lengths is '0-3'; expected from 1 upwards, the least first"),
        ("copy:many", "lengths is 'many'; expected such as 1-20"),
        ("copy:1-5,test=5/x", "test is '5/x'; expected such as 50/100"),
        ("copy:1-5,bits=0", "bits must be 1 to 64, not 0"),
        ("copy:1-5,symbols=27", "symbols must be 0 to 26, not 27"),
        ("copy:1-5,each=0", "each must be at least 1, not 0"),
        ("copy:1-5,bts=4", "no key 'bts'; did you mean 'bits'"),
        ("copy:1-5,bits=many", "bits: Input should be a valid integer"),
        ("copy:1-5,8", "'8' is no key=value, such as test=50/100"),
        ("copy:repeats=2", "no key 'repeats'"),
        ("repeat_copy:1-5,repeats=0", "repeats is '0'; expected from 1 upwards"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        corpus(name)


def test_another_task_is_told_what_the_corpus_is_for() -> None:
    with pytest.raises(InputError, match="sequences and answers, for --task recall; this task reads text and label"):  # fmt: skip
        open_corpus("copy", fields=tasks.get("sentiment").fields)
    assert {"copy", "reverse", "repeat_copy"} <= set(corpora.names())


def test_words_of_bits_and_symbols_are_told_apart() -> None:
    assert find_code(["01", "11"]).state() == {"bits": 2}
    assert find_code(["01", "110"]).state() == {"symbols": ["01", "110"]}
    assert find_code(["0", "1"]).state() == {"symbols": ["0", "1"]}
    assert find_code(["0", "1"], kind="bits").state() == {"bits": 1}
    assert find_code(["01", "11"], kind="symbols").state() == {"symbols": ["01", "11"]}
    with pytest.raises(
        InputError, match=r"head\.words: the words are not all of one number of bits"
    ):
        find_code(["01", "a"], kind="bits")
    with pytest.raises(InputError, match="bits must be 1 to 64, not 65"):
        find_code(["01" * 32 + "1"])
    for code in (BitCode(3), SymbolCode(["a", "b"])):
        assert type(code_from(code.state())) is type(code)


@pytest.mark.parametrize(
    ("code", "words", "wrong", "message"),
    [
        (BitCode(3), ["010", "111"], "01", "here: word 2 is '01'; expected 3 bits"),
        (BitCode(2), ["01", "10"], "02", "here: word 2 is '02'; expected 2 bits"),
        (SymbolCode(["up", "down"]), ["down", "up"], "dwn",
         "here: word 2 is 'dwn', which no training sequence has; did you mean 'down'"),
    ],
)  # fmt: skip
def test_words_are_encoded_and_found_again(code: Any, words: Any, wrong: str, message: str) -> None:
    numbers = code.encode(words, "here")
    logits = np.concatenate([8 * numbers - 4, [[-4], [4]]], 1)
    found, ends = code.decode(torch.from_numpy(logits))
    assert found == words
    assert ends.tolist() == [False, True]
    with pytest.raises(InputError, match=message):
        code.encode([words[0], wrong], "here")


def test_the_loss_is_of_words_and_of_ends_in_nats() -> None:
    logits = torch.randn(3, 3)
    targets = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    ends = -(1 - torch.sigmoid(logits[:2, 2])).log().sum() - torch.sigmoid(logits[2, 2]).log()
    shares = torch.sigmoid(logits[:2, :2])
    right = targets[:2, :2] * shares + (1 - targets[:2, :2]) * (1 - shares)
    torch.testing.assert_close(BitCode(2).loss(logits, targets), ends - right.log().sum())
    assert BitCode(2).count_units(targets) == 3 + 2 * 2
    chosen = logits[:2, :2].softmax(1)[[0, 1], [0, 1]]
    code = SymbolCode(["a", "b"])
    torch.testing.assert_close(code.loss(logits, targets), ends - chosen.log().sum())
    assert code.count_units(targets) == 3 + 2


def test_steps_are_the_words_the_mark_to_go_and_blanks() -> None:
    made = Split.from_examples("train", [{"sequence": "10 11 x3", "answer": "10 11 10"},
                                         {"sequence": "01", "answer": "00"}])  # fmt: skip
    task = Recall.create(settings(), Corpus(name="mine", splits={"train": made}))
    assert (task.ratio, task.code.size) == (1.0, 2)
    batch = task.read(made, training=True).batch(np.array([0, 1]))
    assert batch.lengths.tolist() == [7, 4]
    expected = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0.3], *[[0.0] * 4] * 4]
    torch.testing.assert_close(batch.x[0], torch.tensor(expected))
    torch.testing.assert_close(
        batch.x[1], torch.tensor([[0, 1, 0, 0], [0, 0, 1, 0], *[[0.0] * 4] * 5])
    )
    assert batch.asked.equal(batch.scored)
    assert batch.scored.long().tolist() == [[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0]]
    wanted = [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 1]]
    assert batch.targets.tolist() == wanted
    # An answer may be as long as those of train, for its words and its count.
    asked = task.read(made).batch(np.array([0]))
    assert asked.asked.sum() == 7
    assert asked.scored.sum() == 4


def test_figures_are_counted_by_hand() -> None:
    code = BitCode(2)
    references = [Reference(answer=("01", "10"), length=2, count=1),
                  Reference(answer=("11",), length=1, count=3),
                  Reference(answer=("11", "00"), length=2, count=1)]  # fmt: skip

    def answer(words: str, end: int | None) -> Prediction:
        return Prediction(output="", details={"words": words.split(), "end": end})

    # Right; right but without its end; two bits wrong, and one word missing.
    predictions = [answer("01 10 00", 2), answer("11 11", None), answer("00", 2)]
    assert score_of(code, predictions, references) == {
        "accuracy": 1 / 3, "recalled": 2 / 3, "error": 4 / 10,
    }  # fmt: skip
    report = measure(code, predictions, references)
    assert report["examples"] == 3
    assert report["error"]["value"] == 0.4
    assert (report["error"]["better"], report["error"]["name"]) == ("lower", "bit error")
    assert report["accuracy"]["low"] == 0
    assert report["lengths"] == {
        "1 x3": {"examples": 1, "accuracy": 0.0, "recalled": 1.0, "error": 0.0},
        "2": {"examples": 2, "accuracy": 0.5, "recalled": 0.5, "error": 0.5},
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("sequence\tanswer\n01 10\t01 10\nx2\t01", r"mine\.tsv:3: the sequence has no words"),
        ("sequence\tanswer\n01 x0\t01", r"mine\.tsv:2: the count is x0; expected at least x1"),
        ("sequence\tanswer\n01 10\t01 10\n10\t01 00 1", None),
    ],
)
def test_files_of_ones_own_are_read(tmp_path: Path, rows: str, message: str | None) -> None:
    (tmp_path / "mine.tsv").write_text(rows + "\n")
    made = open_corpus(str(tmp_path / "mine.tsv"), fields=Recall.fields, validation_share=0)
    if message is None:
        task = Recall.create(settings("model.cell=gru"), made)
        assert task.code.state() == {"symbols": ["00", "01", "1", "10"]}
        assert task.ratio == 3
        return
    with pytest.raises(InputError, match=message):
        Recall.create(settings(), made)


def test_a_validation_word_that_is_no_such_word_is_named_with_its_place() -> None:
    train = Split.from_examples("train", [{"sequence": "01", "answer": "01"}])
    other = Split.from_examples("test", [{"sequence": "011", "answer": "01"}], origin="mine.tsv")
    empty = Split.from_examples("test", [{"sequence": "01", "answer": " "}], origin="mine.tsv")
    task = Recall.create(settings(), Corpus(name="mine", splits={"train": train}))
    with pytest.raises(
        InputError, match=r"mine.tsv, row 1: sequence: word 1 is '011'; expected 2 bits"
    ):
        task.read(other)
    with pytest.raises(InputError, match=r"mine.tsv, row 1: the answer has no words"):
        task.read(empty)
    with pytest.raises(InputError, match="^0 1: word 1 is '0'; expected 2 bits$"):
        task.answer_texts(["0 1"], batch_size=1)
    with pytest.raises(InputError, match="^01 x900000: its answer may take 900,001 words; expected at most 100,000$"):  # fmt: skip
        task.answer_texts(["11", "01 x900000"], batch_size=1)


def test_an_option_that_the_task_does_not_have_is_refused() -> None:
    with pytest.raises(SettingsError, match="head: no key 'word'; did you mean 'words'"):
        seqnlp.train(settings("head.word=bits"))


@pytest.mark.parametrize("cell", ["ntm", "stack", "lstm"])
def test_a_model_trains_saves_and_loads(tmp_path: Path, cell: str) -> None:
    made = seqnlp.train(settings(f"model.cell={cell}", "model.hidden_size=8"), tmp_path / "run")
    again = seqnlp.load(tmp_path / "run")
    answer = again("101 001")
    assert answer == made("101 001")
    assert answer.details is not None
    assert len(answer.details["words"]) == 3  # type: ignore[arg-type]
    assert set(made.metrics["test"]["lengths"]) == {"4", "8", "15", "18"}
    card = (tmp_path / "run" / "README.md").read_text()
    assert card.partition("\n---\n")[2].count("bit error") == 1


def test_an_ensemble_answers_with_the_mean_of_its_members(tmp_path: Path) -> None:
    made = seqnlp.train(
        settings("ensemble=2", "model.cell=gru", "model.hidden_size=6"), tmp_path / "run"
    )
    task: Any = made.task
    batch = task.read_texts(["101 001"]).batch(np.array([0]))
    with torch.inference_mode():
        logits = sum(member(batch, batch.asked) for member in task.members) / 2
    words, _ = task.code.decode(logits)
    assert made("101 001").details["words"] == words  # type: ignore[index]
    assert seqnlp.load(tmp_path / "run")("101 001") == made("101 001")


@pytest.mark.parametrize(
    "change", [{"members": -1}, {"ratio": 0.0}, {"code": {"bits": 0}}, {"code": {"symbols": ["a", "a"]}}]
)  # fmt: skip
def test_a_damaged_state_is_refused(change: dict[str, Any]) -> None:
    task = Recall.create(settings(), corpus("copy:1-2,bits=2,train=4"))
    assert Recall.restore(task.settings, {}, task.state()).state() == task.state()
    with pytest.raises(ValueError, match="must"):
        Recall.restore(task.settings, {}, {**task.state(), **change})


def test_reading_text_a_memory_learns_what_a_label_depends_on(tmp_path: Path) -> None:
    rows = ["label\ttext", *("good\tfine work", "bad\tpoor work") * 20]
    (tmp_path / "train.tsv").write_text("\n".join(rows) + "\n")
    made = seqnlp.train(
        seqnlp.load_settings(
            overrides=[
                f"corpus.name={tmp_path / 'train.tsv'}", "model.cell=ntm", "model.hidden_size=8",
                'model.cell_options={slots = 8, width = 4}', "train.epochs=8", "train.lr=0.02",
            ]
        ),
        tmp_path / "run",
    )  # fmt: skip
    assert made("fine work").output == "good"
    assert made("poor work").output == "bad"
