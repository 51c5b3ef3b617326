"""The component of spaCy pipelines: the library's answers, on documents, wherever pipelines go."""

from __future__ import annotations

import ast
import itertools
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc

import seqnlp
import seqnlp.integrations.spacy  # registers the factory, as its entry point does
from seqnlp.errors import BundleError, InputError
from seqnlp.integrations.spacy import SeqnlpComponent

TEXTS = ["The film was poor and then great .", "The cast was fine and then dull .", "", "unseen"]
GERMAN = ["Der Hund will den Ball sehen.", "Eine Frau kann das Haus malen.", ""]


@pytest.fixture(autouse=True)
def _extensions() -> Iterator[None]:
    """A test begins with nothing registered for all documents, and what it registers is gone."""
    extensions = spacy.tokens.underscore.Underscore.doc_extensions
    before = dict(extensions)
    extensions.clear()
    yield
    extensions.clear()
    extensions.update(before)


def pipeline(model: object = None, language: str = "en", **config: Any) -> Language:
    nlp = spacy.blank(language)
    if model is not None:
        config["model"] = str(model)
    nlp.add_pipe("seqnlp", config=config)
    return nlp


def component(nlp: Language, name: str = "seqnlp") -> SeqnlpComponent:
    made = nlp.get_pipe(name)
    assert isinstance(made, SeqnlpComponent)
    return made


def test_documents_get_the_labels_and_probabilities_of_the_library(toy_run: Path) -> None:
    nlp, model = pipeline(toy_run), seqnlp.load(toy_run)
    for text, batched in zip(TEXTS, nlp.pipe(TEXTS), strict=True):
        single, answer = nlp(text), model(text)
        assert single.cats == answer.probabilities  # to the last digit
        assert batched.cats == pytest.approx(answer.probabilities, abs=1e-6)
        assert single._.seqnlp_label == batched._.seqnlp_label == answer.output
    assert not Doc.has_extension("seqnlp_label_sources")  # of tokens of the pipeline only
    assert component(nlp).labels == ("negative", "positive")
    assert nlp.pipe_labels["seqnlp"] == ["negative", "positive"]


def test_categories_of_other_components_stay(toy_run: Path) -> None:
    nlp = pipeline(toy_run)
    doc = nlp.make_doc(TEXTS[0])
    doc.cats = {"sports": 0.5}
    assert sorted(nlp(doc).cats) == ["negative", "positive", "sports"]
    assert "positive" not in pipeline(toy_run, cats=False)(TEXTS[0]).cats


@pytest.mark.parametrize(
    ("run", "attribute"), [("pairs_run", "translation"), ("reports_run", "summary"), ("extracts_run", "summary")]
)  # fmt: skip
def test_written_texts_are_an_attribute(
    run: str, attribute: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(run)
    texts = [*GERMAN, "Dora left the club. Emil looked on. Nobody saw it."]
    found = [doc._.get(attribute) for doc in pipeline(folder).pipe(texts)]
    assert found == [answer.output for answer in seqnlp.load(folder).predict(texts)]
    assert pipeline(folder, attribute="short")(texts[0])._.short == found[0]


def test_sentences_that_were_picked_are_spans(extracts_run: Path) -> None:
    text = "Dora left \n the club. Emil looked on. Nobody saw it. Dora left the club."
    nlp = pipeline(extracts_run)
    component(nlp).load().task.decoding = (
        component(nlp)
        .load()
        .task.decoding.model_copy(  # type: ignore[union-attr]
            update={"sentences": 4}
        )
    )
    doc = nlp(text)
    assert [span.text for span in doc.spans["summary"]] == ["Dora left \n the club.", "Emil looked on.", "Nobody saw it.", "Dora left the club."]  # fmt: skip


def test_an_unsure_label_is_none(toy_run: Path) -> None:
    most = max(seqnlp.load(toy_run)(TEXTS[0]).probabilities.values())  # type: ignore[union-attr]
    assert pipeline(toy_run, threshold=most)(TEXTS[0])._.seqnlp_label is not None
    unsure = pipeline(toy_run, threshold=(most + 1) / 2)(TEXTS[0])
    assert unsure._.seqnlp_label is None
    assert len(unsure.cats) == 2


def test_documents_come_in_batches_as_they_are_asked_for(toy_run: Path) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "fine"

    docs = pipeline(toy_run).pipe(endless(), batch_size=4)
    assert len(list(itertools.islice(docs, 6))) == 6
    assert read <= 9


def test_the_tokens_of_the_pipeline_are_read_when_asked(toy_run: Path) -> None:
    nlp = pipeline(toy_run, tokens="doc")
    words = ["The", "film", "wasgreat", "\n", "Awful", "."]
    nlp.tokenizer = lambda text: Doc(nlp.vocab, words=words)  # type: ignore[method-assign, assignment]
    [answer] = seqnlp.load(toy_run).predict_tokens([[w for w in words if w.strip()]])
    assert nlp("any")._.seqnlp_label == answer.output
    assert nlp("any").cats == pytest.approx(answer.probabilities, abs=1e-6)
    assert nlp("any").cats != pytest.approx(pipeline(toy_run)("any").cats, abs=1e-6)


def test_a_model_of_spacys_tokens_answers_the_same_by_both(
    toy_corpus: Path, tmp_path: Path
) -> None:
    from tests.toy import small_settings

    settings = small_settings(toy_corpus, "text.tokenizer=spacy:en", "train.epochs=1")
    seqnlp.train(settings, tmp_path / "run")
    texts = [*TEXTS, "It wasn't  the 1st\tfilm, (dull)..."]
    both = (pipeline(tmp_path / "run", tokens=tokens).pipe(texts) for tokens in ("model", "doc"))
    for one, other in zip(*both, strict=True):
        assert one.cats == pytest.approx(other.cats, abs=1e-6)


def test_words_of_an_output_lead_to_tokens_of_the_document(pairs_run: Path) -> None:
    text = "Der  Hund will den Ball\n sehen."
    doc = pipeline(pairs_run, "de", tokens="doc")(text)
    real = [token for token in doc if not token.is_space]
    assert len(real) == len(doc) - 2
    [answer] = seqnlp.load(pairs_run).predict_tokens([[token.text for token in real]])
    best = answer.hypotheses[0]
    assert best.attention is not None
    looks = best.attention[:-1].argmax(1)
    expected = [real[look].i if look < len(real) else None for look in looks]
    assert doc._.translation_sources == [
        [*pair] for pair in zip(best.tokens, expected, strict=True)
    ]
    assert doc._.translation == answer.output
    assert pipeline(pairs_run, "de", tokens="doc")("")._.translation_sources is None


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("loaded", [False, True])
def test_two_processes_answer_as_one(pairs_run: Path, loaded: bool) -> None:
    nlp = pipeline(pairs_run, tokens="doc")
    if loaded:
        component(nlp).load()
    texts = GERMAN * 5
    docs = list(nlp.pipe(texts, n_process=2, batch_size=4))
    assert [doc.text for doc in docs] == texts
    one = list(nlp.pipe(texts))
    assert [doc._.translation for doc in docs] == [doc._.translation for doc in one]
    sources = [doc._.translation_sources for doc in docs]
    assert sources == [doc._.translation_sources for doc in one]
    assert sources[0]


@pytest.mark.parametrize("loaded", [False, True])
def test_a_component_goes_to_processes_that_are_not_forked(toy_run: Path, loaded: bool) -> None:
    nlp = pipeline(toy_run)
    if loaded:
        component(nlp).load()
    copy = pickle.loads(pickle.dumps(component(nlp)))
    assert copy(nlp.make_doc(TEXTS[0])).cats == nlp(TEXTS[0]).cats


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_computes_in_one_thread(toy_run: Path) -> None:
    pipeline(toy_run)
    torch.set_num_threads(2)
    try:
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            os.write(writer, bytes([torch.get_num_threads()]))
            os._exit(0)
        os.waitpid(child, 0)
        assert (os.read(reader, 1)[0], torch.get_num_threads()) == (1, 2)
    finally:
        torch.set_num_threads(1)
        os.close(reader)
        os.close(writer)


@pytest.mark.slow
def test_forks_of_a_process_with_threads_do_not_wait_for_them(toy_run: Path) -> None:
    script = """
import sys, torch, spacy, seqnlp, seqnlp.integrations.spacy
torch.set_num_threads(2)
nlp = spacy.blank("en")
nlp.add_pipe("seqnlp", config={"model": sys.argv[1]})
texts = ["The film was fine and then great . " * 9] * 300
[doc._.seqnlp_label for doc in nlp.pipe(texts)]
print({doc._.seqnlp_label for doc in nlp.pipe(texts, n_process=2)}, torch.get_num_threads())
"""
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, toy_run],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert out.stdout == "{'positive'} 2\n"


def test_a_saved_pipeline_has_the_model_inside(toy_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(toy_run, tmp_path / "run"))
    nlp = pipeline(run, threshold=0.5, attribute="mood")
    expected = nlp(TEXTS[0]).cats
    nlp.to_disk(tmp_path / "nlp")
    shutil.rmtree(run)
    again = spacy.load(tmp_path / "nlp")
    assert component(again).threshold == 0.5
    assert again(TEXTS[0]).cats == expected
    assert again(TEXTS[0])._.mood == nlp(TEXTS[0])._.mood
    assert seqnlp.load(tmp_path / "nlp" / "seqnlp")(TEXTS[0]).probabilities == expected
    assert not list((tmp_path / "nlp").rglob("*.pkl"))


def test_a_pipeline_goes_through_bytes(toy_run: Path) -> None:
    nlp, empty = pipeline(toy_run), pipeline()
    empty.from_bytes(nlp.to_bytes())
    assert empty(TEXTS[0]).cats == nlp(TEXTS[0]).cats
    assert component(empty).labels == ("negative", "positive")


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa1a\x01"])
def test_damaged_bytes_are_one_clear_line(data: bytes) -> None:
    with pytest.raises(BundleError, match="^seqnlp: damaged: not the bytes of a component$"):
        component(pipeline()).from_bytes(data)


def test_a_pipeline_without_a_model_is_loaded_from_disk(toy_run: Path, tmp_path: Path) -> None:
    nlp = pipeline()
    seqnlp.load(toy_run).save(tmp_path / "model")
    component(nlp).from_disk(tmp_path / "model")
    assert nlp(TEXTS[0]).cats == seqnlp.load(toy_run)(TEXTS[0]).probabilities


def test_two_models_stand_in_one_pipeline(toy_run: Path, pairs_run: Path) -> None:
    nlp = pipeline(toy_run)
    nlp.add_pipe("seqnlp", name="translator", config={"model": str(pairs_run)})
    nlp.add_pipe("seqnlp", name="second", config={"model": str(toy_run), "attribute": "two", "cats": False})  # fmt: skip
    doc = nlp(GERMAN[0])
    assert doc._.seqnlp_label == doc._.two
    assert doc._.translation == seqnlp.load(pairs_run)(GERMAN[0]).output


def test_another_pipeline_may_write_the_same_attribute(toy_run: Path, pairs_run: Path) -> None:
    for _ in range(2):
        assert pipeline(toy_run)(TEXTS[0])._.seqnlp_label
    nlp = pipeline(toy_run)
    nlp(TEXTS[0])
    nlp.remove_pipe("seqnlp")
    nlp.add_pipe("seqnlp", name="new", config={"model": str(toy_run)})
    assert nlp(TEXTS[0])._.seqnlp_label


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({}, InputError, r"^seqnlp: no model yet: name one in the component's config, config=\{'model': 'runs/...'\}, or load"),
        ({"model": "runs/nope"}, BundleError, "^runs/nope: no such model folder$"),
        ({"threshold": 2.0}, InputError, "^seqnlp: threshold: a probability is expected, not 2.0$"),
        ({"batch_size": 0}, InputError, "^seqnlp: batch_size: at least 1 is expected, not 0$"),
        ({"attribute": "a b"}, InputError, r"^seqnlp: attribute: 'a b' cannot stand in doc._.NAME$"),
        ({"attribute": "class"}, InputError, "^seqnlp: attribute: 'class' cannot stand in"),
        ({"attribute": "get"}, InputError, "^seqnlp: attribute: 'get' cannot stand in"),
        ({"tokens": "words"}, Exception, r"tokens.*'words' is not typing.Literal\['model', 'doc'\]"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_one_clear_line(
    config: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pipeline(**config)(TEXTS[0])


def test_what_does_not_go_with_a_model_is_one_clear_line(
    pairs_run: Path, extracts_run: Path
) -> None:
    with pytest.raises(InputError, match="seqnlp: threshold: the task 'translation' has no labels"):
        pipeline(pairs_run, threshold=0.5)("x")
    with pytest.raises(InputError, match="the task 'extraction' reads texts, and no tokens"):
        pipeline(extracts_run, tokens="doc")("x")


def test_a_clash_of_attributes_is_one_clear_line(toy_run: Path) -> None:
    Doc.set_extension("seqnlp_label", getter=len)
    with pytest.raises(InputError, match=r"seqnlp: doc._.seqnlp_label is an extension of another"):
        pipeline(toy_run)
    Doc.remove_extension("seqnlp_label")
    nlp = pipeline(toy_run)
    nlp.add_pipe("seqnlp", name="two", config={"model": str(toy_run)})
    with pytest.raises(InputError, match=r"two: doc._.seqnlp_label is written by the component 'seqnlp' of this pipeline; give one of them config=\{'attribute': ...\}"):  # fmt: skip
        nlp("x")
    nlp.remove_pipe("two")
    nlp.add_pipe("seqnlp", name="two", config={"model": str(toy_run), "attribute": "other"})
    with pytest.raises(InputError, match=r"two: doc.cats\['negative'\] is written by the component 'seqnlp' of this pipeline; give one of them config=\{'cats': False\}"):  # fmt: skip
        nlp("x")


def test_errors_go_to_the_handler_of_the_pipeline(toy_run: Path) -> None:
    nlp, seen = pipeline(toy_run), []
    nlp.set_error_handler(lambda name, proc, docs, error: seen.append((name, len(docs), error)))
    failing = component(nlp)
    failing.load().task.forward = failing.load().task.answer_texts = _fail  # type: ignore[method-assign, assignment]
    assert list(nlp.pipe(["a", "b"])) == []  # as components of spaCy do
    assert nlp("a").cats == {}
    assert [(name, count) for name, count, _ in seen] == [("seqnlp", 2), ("seqnlp", 1)]
    assert isinstance(seen[0][2], ZeroDivisionError)


def _fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError


def test_spacy_imports_no_toolkit_with_a_pipeline_that_does_without() -> None:
    """It imports these modules with every pipeline."""
    found = set()
    for path in Path(seqnlp.integrations.spacy.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                found.add(node.module)
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    ours = {name for name in found if name.startswith("seqnlp")}
    assert "spacy.tokens" in found
    assert ours - {"seqnlp.errors"} == {
        "seqnlp.integrations.spacy.attributes", "seqnlp.integrations.spacy.component"
    }  # fmt: skip


@pytest.mark.slow
def test_a_packaged_pipeline_is_installed_and_answers(toy_run: Path, tmp_path: Path) -> None:
    nlp = pipeline(toy_run)
    nlp.to_disk(tmp_path / "nlp")
    (tmp_path / "made").mkdir()
    python, site = sys.executable, tmp_path / "site"
    package = (
        "import sys, pathlib, seqnlp.integrations.spacy; from spacy.cli.package import package; "
        "package(*map(pathlib.Path, sys.argv[1:]), name='mood', create_sdist=False)"
    )
    install = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    commands = [
        ["-c", package, tmp_path / "nlp", tmp_path / "made"],
        [*install, "--target", site, tmp_path / "made" / "en_mood-0.0.0"],
    ]
    for words in commands:
        subprocess.run([python, *map(str, words)], check=True, capture_output=True, text=True)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import seqnlp.integrations.spacy, en_mood; "
        "doc = en_mood.load()(sys.argv[2]); print(doc._.seqnlp_label, doc.cats['positive'])"
    )
    out = subprocess.run(
        [python, "-c", script, site, TEXTS[0]], check=True, capture_output=True, text=True, cwd=tmp_path
    )  # fmt: skip
    label, share = out.stdout.split()
    assert label == nlp(TEXTS[0])._.seqnlp_label
    assert float(share) == nlp(TEXTS[0]).cats["positive"]
