from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqnlp.data import open_corpus
from seqnlp.errors import InputError, SettingsError
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.tasks.translation import TranslationTask
from tests.toy import small_settings
from tests.toy_translation import small_translation, write_pairs


def task(corpus: Path, *overrides: str) -> SentimentTask:
    settings = small_settings(corpus, *overrides)
    torch.manual_seed(settings.seed)
    return SentimentTask.create(settings, open_corpus(str(corpus), fields=SentimentTask.fields))


def words(made: SentimentTask) -> torch.Tensor:
    found: torch.Tensor = made.members[0].embedding.words.detach()  # type: ignore[union-attr, assignment]
    return found


def test_vectors_from_cooccurrence_have_the_length_of_drawn_ones(toy_corpus: Path) -> None:
    made = task(toy_corpus, "text.vectors=ppmi", "model.embedding_scale=0.3")
    vocabulary = made.pipeline.vocabulary
    assert vocabulary is not None
    lengths = words(made)[len(vocabulary.specials) :].norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 0.3 * 12**0.5))
    assert not words(made)[vocabulary.pad].any()

    def likeness(one: str, other: str) -> float:
        first, second = (words(made)[vocabulary.id(each)] for each in (one, other))
        return float(torch.cosine_similarity(first, second, dim=0))

    assert likeness("film", "plot") > likeness("film", "fine")


def test_they_are_the_same_for_any_seed(toy_corpus: Path) -> None:
    first = task(toy_corpus, "text.vectors=ppmi")
    other = task(toy_corpus, "text.vectors=ppmi", "seed=2")
    text = len(first.pipeline.vocabulary.specials)  # type: ignore[union-attr]
    assert torch.equal(words(first)[text:], words(other)[text:])
    assert not torch.equal(words(first)[1], words(other)[1])  # <unk> is drawn


def test_a_rare_token_breaks_no_window_and_has_no_vector(toy_corpus: Path) -> None:
    common = task(toy_corpus, "text.vectors=ppmi", "text.min_count=20")
    drawn = task(toy_corpus, "text.min_count=20")
    vocabulary = common.pipeline.vocabulary
    assert vocabulary is not None
    assert "film" not in vocabulary.index
    assert torch.equal(words(common)[vocabulary.unk], words(drawn)[vocabulary.unk])


def test_options_reach_the_counting(toy_corpus: Path) -> None:
    near = task(toy_corpus, "text.vectors=ppmi", "text.vectors_options={window=1}")
    assert not torch.equal(words(near), words(task(toy_corpus, "text.vectors=ppmi")))


def test_a_file_of_that_name(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ppmi").write_text("fine " + " ".join(map(str, range(12))) + "\n")
    made = task(toy_corpus, "text.vectors=./ppmi")
    row = made.pipeline.vocabulary.id("fine")  # type: ignore[union-attr]
    assert words(made)[row].tolist() == np.arange(12).tolist()


def translator(folder: Path, *overrides: str) -> Any:
    settings = small_translation(folder, *overrides)
    corpus = open_corpus(str(folder), fields=TranslationTask.fields, languages=("de", "en"))
    torch.manual_seed(settings.seed)
    return TranslationTask.create(settings, corpus)


def text_vectors(embedding: Any, vocabulary: Any) -> torch.Tensor:
    found: torch.Tensor = embedding.words.detach()[len(vocabulary.specials) :]
    return found


@pytest.fixture(scope="module")
def pairs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


def test_each_side_has_vectors_of_its_own(pairs_folder: Path) -> None:
    made = translator(pairs_folder, "text.vectors=ppmi", "seed=1")
    other = translator(pairs_folder, "text.vectors=ppmi", "seed=2")
    pipelines = made.pipeline, made.target
    names = "source_embedding", "target_embedding"
    for name, pipeline, scale in zip(names, pipelines, (0.1, 32**-0.5), strict=True):
        found, again = (
            text_vectors(getattr(task.members[0], name), pipeline.vocabulary)
            for task in (made, other)
        )
        assert torch.equal(found, again)
        # A tied matrix is the output layer too: its rows keep their length of 1.
        torch.testing.assert_close(found.norm(dim=1), torch.full((len(found),), scale * 32**0.5))
    member = made.members[0]
    assert member.output.weight is member.target_embedding.words


@pytest.mark.parametrize("tied", ["true", "false"])
def test_a_joint_vocabulary_has_vectors_from_both_sides(pairs_folder: Path, tied: str) -> None:
    joint = ["text.vectors=ppmi", "head.joint=true", f"head.tie_all={tied}"]
    made = translator(pairs_folder, *joint)
    vocabulary = made.target.vocabulary
    member = made.members[0]
    source, target = (
        torch.nn.functional.normalize(text_vectors(embedding, vocabulary))
        for embedding in (member.source_embedding, member.target_embedding)
    )
    torch.testing.assert_close(source, target)
    ids = [vocabulary.id(word) - len(vocabulary.specials) for word in ("the", "Hund")]
    assert source[ids].any(dim=1).all()
    assert made.target.vocabulary.tokens == made.pipeline.vocabulary.tokens
    # A text and its translation are two texts: their words were never near each other.
    english, german = (source[each] for each in ids)
    assert abs(float(english @ german)) < 0.3


def test_vectors_of_a_file_are_of_sources(pairs_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("Hund " + " ".join(["7"] * 32) + "\n")
    made = translator(pairs_folder, f'text.vectors="{path}"', "head.joint=true")
    row = made.pipeline.vocabulary.id("Hund")
    assert made.members[0].source_embedding.words[row].tolist() == [7] * 32
    assert not (made.members[0].target_embedding.words == 7).any()


@pytest.mark.parametrize(
    ("overrides", "kind", "message"),
    [
        (
            ["text.vectors=ppmi", "text.vectors_options={windw=2}"],
            SettingsError,
            "text.vectors_options: no key 'windw'; did you mean 'window'",
        ),
        (
            ["text.vectors=ppmi", "text.vectors_options={window=0}"],
            SettingsError,
            "text.vectors_options: window must be at least 1, not 0",
        ),
        (
            ["text.vectors=ppmi", "text.vectors_options={size=0}"],
            SettingsError,
            "text.vectors_options: no key 'size'",
        ),
        (
            ["text.vectors_options={window=2}"],
            SettingsError,
            'text.vectors_options: of text.vectors = "ppmi" alone',
        ),
        (["text.vectors=ppmy"], InputError, "ppmy: no such file"),
    ],
)
def test_what_cannot_be(
    toy_corpus: Path, overrides: list[str], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        task(toy_corpus, *overrides)
