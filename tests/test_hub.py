"""Models on the Hugging Face Hub, against a small one on loopback."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import ModelCard, constants

import seqnlp
from seqnlp import hub as client
from seqnlp.errors import BundleError, InputError
from tests.cli.calling import call
from tests.hub_server import TOKEN, Hub, Repository, serve_hub

TEXT = "The film was poor and then great ."
GERMAN = "Der Hund will den Ball sehen."

# The client of the Hub warns of how it uses its own client of HTTP.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub to which the client of this process talks, with a cache and a token of its own."""
    with serve_hub() as made:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.setattr(constants, "ENDPOINT", made.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            made.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        huggingface_hub.close_session()
        yield made
        huggingface_hub.close_session()


def stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")


def test_a_model_goes_to_the_hub_and_comes_back(hub: Hub, pairs_run: Path) -> None:
    model = seqnlp.load(pairs_run)
    url = model.push_to_hub("me/de-en", commit_message="A first one", license="mit")
    repository = hub.repositories["me/de-en"]
    assert url == f"{hub.url}/me/de-en/commit/{repository.refs['main']}"
    assert repository.messages == ["A first one"]
    assert not repository.private
    assert len(hub.large) == 1  # the weights
    again = seqnlp.load("hf:me/de-en")
    assert again(GERMAN) == model(GERMAN)
    assert again.metrics == model.metrics
    assert seqnlp.load(Path("hf:me/de-en"))(GERMAN) == model(GERMAN)


def test_the_card_follows_the_conventions_of_the_hub(hub: Hub, pairs_run: Path) -> None:
    model = seqnlp.load(pairs_run)
    model.push_to_hub("me/de-en", license="mit")
    repository = hub.repositories["me/de-en"]
    text = repository.commits[repository.refs["main"]]["README.md"].decode()
    card = ModelCard(text)
    data = card.data.to_dict()
    assert data["library_name"] == "seqnlp"
    assert data["pipeline_tag"] == "translation"
    assert data["license"] == "mit"
    assert data["language"] == ["de", "en"]
    assert data["metrics"] == ["bleu", "chrf", "ter"]
    results = {(r.dataset_split, r.metric_type): r.metric_value for r in card.data.eval_results}
    assert results["test", "bleu"] == model.metrics["test"]["bleu"]["value"]
    assert results["validation", "chrf"] == model.metrics["validation"]["chrf"]["value"]
    assert 'seqnlp.load("hf:me/de-en")' in text
    assert "\n# de-en\n" in text


def test_a_branch_is_pushed_and_loaded_as_a_revision(hub: Hub, toy_run: Path, pairs_run: Path) -> None:  # fmt: skip
    first, second = seqnlp.load(pairs_run), seqnlp.load(toy_run)
    first.push_to_hub("hf:me/model", private=True)
    second.push_to_hub("me/model", revision="v2")
    repository = hub.repositories["me/model"]
    assert repository.private
    assert seqnlp.load("hf:me/model")(GERMAN) == first(GERMAN)
    assert seqnlp.load("hf:me/model@v2")(TEXT) == second(TEXT)
    assert seqnlp.load(f"hf:me/model@{repository.refs['v2']}")(TEXT) == second(TEXT)


def test_files_of_the_model_before_are_gone_and_others_stay(
    hub: Hub, toy_run: Path, pairs_run: Path
) -> None:
    hub.repositories["me/model"] = Repository()
    hub.repositories["me/model"].commit("main", {"notes.txt": b"mine", ".gitattributes": b""}, "")
    seqnlp.load(pairs_run).push_to_hub("me/model")
    seqnlp.load(toy_run).push_to_hub("me/model")
    repository = hub.repositories["me/model"]
    files = repository.commits[repository.refs["main"]]
    assert set(files) == {"notes.txt", ".gitattributes", *seqnlp.load(toy_run).to_files()}
    assert seqnlp.load("hf:me/model")(TEXT) == seqnlp.load(toy_run)(TEXT)


def test_only_the_files_of_a_model_are_fetched(hub: Hub, toy_run: Path) -> None:
    seqnlp.load(toy_run).push_to_hub("me/model")
    repository = hub.repositories["me/model"]
    more = {"setup.py": b"1/0", "pytorch_model.bin": b"x", "a/b/pipeline.json": b"x"}
    repository.commit("main", {**repository.commits[repository.refs["main"]], **more}, "more")
    hub.requests.clear()
    folder = client.fetch("hf:me/model")
    assert not any(name in request for request in hub.requests for name in more)
    found = {path.name for path in folder.rglob("*") if path.is_file()}
    assert found == set(seqnlp.load(toy_run).to_files())


def test_a_model_that_was_fetched_is_there_without_the_hub(
    hub: Hub, toy_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = seqnlp.load(toy_run)
    model.push_to_hub("me/model")
    assert client.cached("hf:me/model") is None
    seqnlp.load("hf:me/model")
    hub.broken = True
    assert seqnlp.load("hf:me/model")(TEXT) == model(TEXT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert seqnlp.load("hf:me/model")(TEXT) == model(TEXT)
    with pytest.raises(InputError, match=r"^hf:me/other: the Hugging Face Hub cannot be reached, and the model is not in the local cache \(HF_HUB_OFFLINE is set\)$"):  # fmt: skip
        seqnlp.load("hf:me/other")
    with pytest.raises(InputError, match="^hf:me/model: the Hub cannot be reached: HF_HUB_OFFLINE"):
        model.push_to_hub("me/model")


def test_a_hub_that_does_not_answer_is_one_clear_line(
    hub: Hub, toy_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.broken = True
    with pytest.raises(InputError, match=r"^hf:me/model: the Hugging Face Hub cannot be reached, and the model is not in the local cache \(.*503"):  # fmt: skip
        seqnlp.load("hf:me/model")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        InputError, match="^hf:me/model: the Hugging Face Hub cannot be reached, and"
    ):
        seqnlp.load("hf:me/model")
    with pytest.raises(InputError, match="^hf:me/model: the Hub cannot be reached: .*refused"):
        seqnlp.load(toy_run).push_to_hub("me/model")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf:me", "^hf:me: no name of a model on the Hub; expected hf:owner/name or hf:owner/name@revision$"),
        ("hf:me/model@", "no name of a model on the Hub; expected"),
        ("hf:me/../model", "no name of a model on the Hub; expected"),
        ("hf:me/-x..y", "^hf:me/-x..y: no name of a model on the Hub: Repo id must use alphanumeric chars"),
        ("hf:me/none", "^hf:me/none: the Hub has no such model, or it is private; `hf auth login` or HF_TOKEN says who you are$"),
        ("hf:me/secret", "^hf:me/secret: the Hub has no such model, or it is private;"),
        ("hf:me/gated", "^hf:me/gated: its page on the Hub says how to get access; `hf auth login`"),
        ("hf:me/open@v9", "^hf:me/open@v9: the model has no such revision$"),
        ("hf:me/open", "^hf:me/open: not a saved model of seqnlp: it has no bundle.json$"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_one_clear_line(
    hub: Hub, source: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger(monkeypatch)
    hub.repositories["me/secret"] = Repository(private=True)
    hub.repositories["me/gated"] = Repository(gated=True)
    hub.repositories["me/open"] = Repository()
    with pytest.raises(InputError, match=message) as error:
        seqnlp.load(source)
    assert "\n" not in str(error.value)


def test_what_cannot_be_pushed_is_one_clear_line(
    hub: Hub, toy_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger(monkeypatch)
    model = seqnlp.load(toy_run)
    with pytest.raises(
        InputError, match="^hf:me/model: the Hub does not allow that; `hf auth login`"
    ):
        model.push_to_hub("me/model")
    model.push_to_hub("me/model", token=TOKEN)
    with pytest.raises(InputError, match="^hf:me/x+: the Hub refuses: .*This name is too long$"):
        model.push_to_hub(f"me/{'x' * 60}", token=TOKEN)
    with pytest.raises(
        InputError, match="^hf:me/model@v2: a revision is pushed by the option of that"
    ):
        model.push_to_hub("me/model@v2")
    with pytest.raises(InputError, match="^an int8 model is not saved"):
        model.quantize().push_to_hub("me/model")


def test_more_files_than_any_model_has_are_not_fetched(hub: Hub, toy_run: Path) -> None:
    files = seqnlp.load(toy_run).to_files()
    many = {f"side{number}/pipeline.json": b"{}" for number in range(100)}
    hub.repositories["me/model"] = Repository()
    hub.repositories["me/model"].commit("main", {**files, **many}, "")
    with pytest.raises(BundleError, match=rf"^hf:me/model: it has {len(files) + 100} files by the names of a model's, more than the 64 that are fetched$"):  # fmt: skip
        seqnlp.load("hf:me/model")
    assert not any("pipeline.json" in request for request in hub.requests)


def test_files_too_large_for_a_model_are_not_fetched(hub: Hub, toy_run: Path) -> None:
    seqnlp.load(toy_run).push_to_hub("me/model")
    hub.sizes["vocabulary.json"] = (256 << 20) + 1
    hub.requests.clear()
    with pytest.raises(BundleError, match="^hf:me/model: vocabulary.json has 268,435,457 bytes, more than the 268,435,456 that are fetched$"):  # fmt: skip
        seqnlp.load("hf:me/model")
    assert not any("resolve" in request for request in hub.requests)


def test_a_damaged_model_of_the_hub_is_one_clear_line(hub: Hub, toy_run: Path) -> None:
    seqnlp.load(toy_run).push_to_hub("me/model")
    repository = hub.repositories["me/model"]
    files = dict(repository.commits[repository.refs["main"]])
    repository.commit("main", {**files, "config.toml": b"seed = 1\n"}, "damage")
    with pytest.raises(BundleError, match="config.toml: damaged: its checksum differs"):
        seqnlp.load("hf:me/model")
    del files["weights.safetensors"]
    repository.commit("main", files, "less")
    with pytest.raises(BundleError, match="weights.safetensors: missing from the model's folder"):
        seqnlp.load("hf:me/model")


def test_a_card_says_no_more_than_is_known(toy_run: Path) -> None:
    data = ModelCard((toy_run / "README.md").read_text()).data.to_dict()
    assert data["pipeline_tag"] == "text-classification"
    assert {"license", "language", "datasets"}.isdisjoint(data)
    assert data["tags"] == ["seqnlp", "lstm"]
    metrics = json.loads((toy_run / "metrics.json").read_text())
    [result] = [
        each
        for each in ModelCard((toy_run / "README.md").read_text()).data.eval_results
        if (each.dataset_split, each.metric_type) == ("test", "f1")
    ]
    assert result.metric_name == "macro-F1"
    assert result.metric_value == metrics["test"]["macro_f1"]["value"]


@pytest.mark.parametrize(
    "name", ["no", "a: b", "x'\"y", "1.0", "# c", "ümläut", "- d", "", "null", "😀\x7f\\n"]
)
def test_any_name_stands_in_a_card(toy_run: Path, name: str) -> None:
    from seqnlp.card_metadata import front_matter

    model = seqnlp.load(toy_run)
    text = front_matter(model.settings, model.metrics, name, license=name, languages="no")
    assert ModelCard(text).data.language == ["no"]
    text = front_matter(model.settings, model.metrics, name, license=name, languages=["no", "y"])
    data = ModelCard(text).data
    assert data.model_name == name
    assert data.language == ["no", "y"]
    assert (data.license or "") == name


@pytest.mark.parametrize("figure", [5e-05, 1e22, 0.25, -3e-7, math.inf, -math.inf])
def test_any_figure_is_a_number_in_a_card(toy_run: Path, figure: float) -> None:
    from seqnlp.card_metadata import front_matter

    model = seqnlp.load(toy_run)
    test = model.metrics["test"]
    changed = {**test, "macro_f1": {**test["macro_f1"], "value": figure}}
    text = front_matter(model.settings, {**model.metrics, "test": changed}, "x")
    results = {(r.dataset_split, r.metric_type): r.metric_value for r in ModelCard(text).data.eval_results}  # fmt: skip
    assert results["test", "f1"] == figure


def test_a_corpus_of_the_hub_is_named(toy_run: Path) -> None:
    from seqnlp.card_metadata import front_matter

    model = seqnlp.load(toy_run)
    corpus = model.settings.corpus.model_copy(update={"name": "hf:stanfordnlp/sst2:default"})
    settings = model.settings.model_copy(update={"corpus": corpus})
    data = ModelCard(front_matter(settings, model.metrics, "x")).data
    assert data.datasets == ["stanfordnlp/sst2"]
    assert {each.dataset_type for each in data.eval_results} == {"stanfordnlp/sst2"}


def test_the_command_line_pushes_and_answers(
    hub: Hub, toy_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, err = call(
        capfd, "push", toy_run, "me/mood", "--private", "--message", "Here", "--license", "mit",
        "--language", "en",
    )  # fmt: skip
    repository = hub.repositories["me/mood"]
    assert (status, err) == (0, "")
    assert out == f"{hub.url}/me/mood/commit/{repository.refs['main']}\n"
    assert repository.private
    assert repository.messages == ["Here"]
    text = repository.commits[repository.refs["main"]]["README.md"].decode()
    assert "\nlicense: mit\nlanguage:\n- en\n" in text
    assert call(capfd, "predict", "hf:me/mood", TEXT)[1] == call(capfd, "predict", toy_run, TEXT)[1]
    status, out, _ = call(capfd, "show", "hf:me/mood")
    assert status == 0
    assert "hf:me/mood: saved by seqnlp" in out
    status, out, err = call(capfd, "push", toy_run, "mood")
    assert (status, out) == (2, "")
    assert err == "error: hf:mood: no name of a model on the Hub; expected hf:owner/name or hf:owner/name@revision\n"  # fmt: skip


def test_a_spacy_pipeline_takes_a_model_of_the_hub(
    hub: Hub, toy_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import spacy
    from spacy.tokens import Doc

    import seqnlp.integrations.spacy  # registers the factory

    # Other tests of the process may have asked pipelines, too.
    monkeypatch.setattr("spacy.tokens.underscore.Underscore.doc_extensions", {})
    seqnlp.load(toy_run).push_to_hub("me/mood")
    hub.requests.clear()
    for fetched in (False, True):
        nlp = spacy.blank("en")
        nlp.add_pipe("seqnlp", config={"model": "hf:me/mood"})
        assert hub.requests == []  # but when it is needed
        assert Doc.has_extension("seqnlp_label") == fetched
        assert nlp(TEXT)._.seqnlp_label == seqnlp.load(toy_run)(TEXT).output
        assert hub.requests
        hub.requests.clear()
