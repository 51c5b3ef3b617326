"""Saved models: what is in the folder, that it comes back the same, and every way it can be wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import seqnlp
from seqnlp.bundle import FORMAT, load
from seqnlp.errors import BundleError
from seqnlp.nn import dropout_sites
from tests.toy import small_settings
from tests.toy_translation import small_translation, write_pairs

TEXTS = ["The film was poor and then great .", "The cast was fine and then dull .", "", "unseen"]


@pytest.fixture
def copy(toy_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_run, tmp_path / "copy"))


def test_a_loaded_model_answers_as_the_trained_one(toy_corpus: Path, tmp_path: Path) -> None:
    model = seqnlp.train(small_settings(toy_corpus), tmp_path / "run")
    again = load(tmp_path / "run")
    assert list(again.predict(TEXTS)) == list(model.predict(TEXTS))
    assert again.settings == model.settings
    assert again.metrics == json.loads(json.dumps(model.metrics))
    for name, weight in model.task.state_dict().items():
        assert torch.equal(weight, again.task.state_dict()[name])


def test_the_folder_holds_readable_files_and_no_pickle(toy_run: Path) -> None:
    assert sorted(path.name for path in toy_run.iterdir()) == [
        "README.md", "bundle.json", "config.toml", "log.jsonl", "metrics.json", "pipeline.json",
        "tokenizer.json", "vocabulary.json", "weights.safetensors",
    ]  # fmt: skip
    card = (toy_run / "README.md").read_text()
    metrics = json.loads((toy_run / "metrics.json").read_text())
    assert f"{100 * metrics['test']['accuracy']['value']:.1f}" in card
    for heading in ("Figures", "Training", "Intended use and limits"):
        assert f"## {heading}" in card
    assert set(metrics["baselines"]) == {"majority class", "bag of words"}


def test_the_saved_settings_repeat_the_run_to_the_bit(toy_run: Path, tmp_path: Path) -> None:
    again = seqnlp.train(seqnlp.load_settings(toy_run / "config.toml"), tmp_path / "again")
    first = (toy_run / "weights.safetensors").read_bytes()
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == first
    assert (tmp_path / "again" / "config.toml").read_bytes() == (toy_run / "config.toml").read_bytes()  # fmt: skip
    assert again.metrics["test"] == json.loads((toy_run / "metrics.json").read_text())["test"]


def test_a_run_that_is_not_finished_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "run.json").write_text("{}")
    with pytest.raises(BundleError, match="not finished; seqnlp train --resume .* goes on with it"):
        load(tmp_path)


def test_an_ensemble_is_one_model(toy_corpus: Path, tmp_path: Path) -> None:
    settings = small_settings(toy_corpus, "ensemble=2", "train.epochs=2")
    model = seqnlp.train(settings, tmp_path / "run")
    assert model.task.state()["members"] == 2
    assert [course["seed"] for course in model.metrics["training"]] == [0, 1]
    assert list(load(tmp_path / "run").predict(TEXTS)) == list(model.predict(TEXTS))


@pytest.mark.parametrize("kind", ["naive_bayes", "logistic"])
def test_evidence_is_saved(toy_corpus: Path, tmp_path: Path, kind: str) -> None:
    settings = small_settings(toy_corpus, f"head.evidence={kind}", "train.epochs=2", "ensemble=2")
    model = seqnlp.train(settings, tmp_path / "run")
    assert list(load(tmp_path / "run").predict(TEXTS)) == list(model.predict(TEXTS))


def test_zoneout_is_saved_with_the_model(toy_corpus: Path, tmp_path: Path) -> None:
    settings = small_settings(
        toy_corpus, "model.zoneout_output=0.2", "model.zoneout_memory=0.5", "train.epochs=2",
        "hooks.dropout.recurrent=0.2",
    )  # fmt: skip
    model = seqnlp.train(settings, tmp_path / "run")
    again = load(tmp_path / "run")
    assert list(again.predict(TEXTS)) == list(model.predict(TEXTS))
    [member] = again.task.members  # type: ignore[misc, union-attr]
    [site] = dropout_sites(member)["recurrent"]
    assert (site.rate, site.zoneout) == (0.0, (0.2, 0.5))
    site.zoneout = ()
    assert list(again.predict(TEXTS)) != list(model.predict(TEXTS))


def test_tied_weights_are_stored_once_and_come_back(toy_run: Path, tmp_path: Path) -> None:
    model = load(toy_run)
    [member] = model.task.members  # type: ignore[misc, union-attr]
    cells = member.encoder.layers[0]
    cells.backward_cell.weight_h = cells.forward_cell.weight_h
    model.save(tmp_path / "tied")
    first, second = (
        (p / "weights.safetensors").stat().st_size for p in (toy_run, tmp_path / "tied")
    )
    assert second < first
    assert list(load(tmp_path / "tied").predict(TEXTS)) == list(model.predict(TEXTS))


def test_predictions_come_lazily_in_order_and_in_constant_memory(toy_run: Path) -> None:
    model, read = load(toy_run), 0

    def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield f"The film was {'poor' if read % 2 else 'great'} and then great ."

    answers = model.task.predict(endless(), batch_size=8, window=16)
    first = [next(answers) for _ in range(20)]
    assert read == 32
    for answer, word in zip(first, ["poor", "great"], strict=False):
        alone = model(f"The film was {word} and then great .")
        assert answer.output == alone.output
        assert answer.probabilities == pytest.approx(alone.probabilities)


def test_a_text_of_a_million_characters_is_answered(toy_run: Path) -> None:
    model = load(toy_run)
    assert model("x" * 1_000_000).output in ("positive", "negative")
    assert model("fine " * 200_000).output in ("positive", "negative")


def _edit(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        data = json.loads((folder / name).read_text())
        change(data)
        (folder / name).write_text(json.dumps(data))

    return edit


def _truncate(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-40])


def _device(folder: Path) -> None:
    (folder / "config.toml").unlink()
    (folder / "config.toml").symlink_to("/dev/zero")


def _need(data: dict[str, Any]) -> None:
    data["requires"][2] |= {"name": "mgux", "package": "seqnlp-mgux", "version": "0.3"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "bundle.json").unlink(), "not a saved model: it has no bundle.json"),
        (lambda folder: (folder / "bundle.json").write_text("{"), "bundle.json: damaged"),
        (lambda folder: (folder / "bundle.json").write_text("[]"), "bundle.json: damaged"),
        (lambda folder: (folder / "bundle.json").write_text('{"format": 1}'), "bundle.json: damaged"),
        (_edit("bundle.json", lambda d: d.update(format=FORMAT + 1, seqnlp="9.0")),
         f"saved by seqnlp 9.0 in format {FORMAT + 1}; this is seqnlp .*: upgrade seqnlp"),
        (_edit("bundle.json", _need),
         "needs the cell 'mgux' of seqnlp-mgux 0.3, which is not installed; pip install seqnlp-mgux"),
        (_edit("bundle.json", lambda d: d["state"].pop("labels")), "damaged: no state of this task: 'labels'"),
        (_edit("bundle.json", lambda d: d["state"].update(members="x")), "damaged: no state of this task"),
        (_edit("bundle.json", lambda d: d["requires"][2].update(name="mine", package="this process")),
         "needs the cell 'mine', which the process that saved it had registered itself; register it"),
        (_edit("bundle.json", lambda d: d["state"].update(members=10**30)), "members must be 0 to 1000"),
        (_edit("bundle.json", lambda d: d["state"].update(labels=[["a"], "b"])), "labels must be strings"),
        (_edit("bundle.json", lambda d: d["state"].update(class_weights=[1.0])), "with a weight each"),
        (_edit("bundle.json", lambda d: d.update(sha256={})), "bundle.json: damaged"),
        (_edit("bundle.json", lambda d: d["sha256"].update({"../../x": "0"})), "bundle.json: damaged"),
        (_edit("bundle.json", lambda d: d["sha256"].update({"../pipeline.json": "0"})), "bundle.json: damaged"),
        (_edit("bundle.json", lambda d: d.update(sha256=[])), "bundle.json: damaged"),
        (_edit("bundle.json", lambda d: d.update(requires=5)), "bundle.json: damaged"),
        (_edit("bundle.json", lambda d: d.update(requires=[{"kind": "x"}])), "bundle.json: damaged"),
        (_edit("bundle.json", lambda d: d["requires"][0].update(kind="x")), "bundle.json: damaged"),
        (_edit("bundle.json", lambda d: d.update(format=True)), "bundle.json: damaged"),
        (_edit("bundle.json", lambda d: d.update(format=-1)), "bundle.json: damaged"),
        (lambda folder: (folder / "bundle.json").write_text("[" * 100_000), "bundle.json: damaged"),
        (lambda folder: (folder / "metrics.json").write_text("3"), "metrics.json: damaged"),
        (lambda folder: (folder / "metrics.json").write_bytes(b"\xff"), "metrics.json: damaged"),
        (_device, "config.toml: missing from the model's folder"),
        (_truncate("weights.safetensors"), "weights.safetensors: damaged: its checksum differs"),
        (_truncate("vocabulary.json"), "vocabulary.json: damaged"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors: missing"),
        (lambda folder: (folder / "config.toml").unlink(), "config.toml: missing"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_one_clear_line(
    copy: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(copy)
    with pytest.raises(BundleError, match=message) as error:
        load(copy)
    assert "\n" not in str(error.value)
    assert error.value.exit_status == 2


@pytest.mark.parametrize("overrides", [[], ["head.joint=true", "head.tie_all=true", "ensemble=2"]])
def test_a_model_of_two_pipelines_comes_back(tmp_path: Path, overrides: list[str]) -> None:
    corpus = write_pairs(tmp_path / "pairs")
    model = seqnlp.train(small_translation(corpus, "train.epochs=3", *overrides), tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "bundle.json").read_text())
    assert manifest["format"] == 2
    assert {f"target/{name}.json" for name in ("pipeline", "tokenizer", "vocabulary")} < set(
        manifest["sha256"]
    )
    again = load(tmp_path / "run")
    texts = ["Der Hund will den Ball sehen.", "", "Eine unbekannte Katze"]
    assert list(again.predict(texts)) == list(model.predict(texts))
    assert again.settings == model.settings
    for name, pipeline in model.task.pipelines.items():
        assert again.task.pipelines[name] == pipeline
    assert again.evaluate(again.corpus(), "test") == model.metrics["test"]


def test_a_model_of_one_pipeline_is_written_as_before(toy_run: Path) -> None:
    manifest = json.loads((toy_run / "bundle.json").read_text())
    assert manifest["format"] == 1
    assert not any("/" in name for name in manifest["sha256"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate("target/vocabulary.json"), "target/vocabulary.json: damaged: its checksum differs"),
        (lambda folder: (folder / "target" / "tokenizer.json").unlink(), "target/tokenizer.json: missing from"),
        (lambda folder: shutil.rmtree(folder / "target"), "target/pipeline.json: missing from the model's folder"),
        (_edit("bundle.json", lambda d: d["sha256"].pop("target/pipeline.json")),
         "bundle.json: damaged: it has no checksum of target/pipeline.json"),
        (_edit("bundle.json", lambda d: d["state"].pop("members")), "damaged: no state of this task: 'members'"),
        (_edit("bundle.json", lambda d: d["state"].update(members=1001)), "members must be 0 to 1000, not 1001"),
    ],
)  # fmt: skip
def test_a_damaged_model_of_two_pipelines_is_one_clear_line(
    translation_run: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    folder = Path(shutil.copytree(translation_run, tmp_path / "copy"))
    damage(folder)
    with pytest.raises(BundleError, match=message) as error:
        load(folder)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def translation_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("translation")
    corpus = write_pairs(folder / "pairs")
    seqnlp.train(small_translation(corpus, "train.epochs=1"), folder / "run")
    return folder / "run"


def test_a_file_of_the_users_in_the_folder_is_left_alone(copy: Path) -> None:
    (copy / "notes.json").write_text("{}")
    load(copy).save(copy)
    (copy / "notes.json").write_text('{"edited": true}')
    assert load(copy)("fine").output


def test_weights_of_another_model_do_not_fit(copy: Path, toy_corpus: Path, tmp_path: Path) -> None:
    seqnlp.train(
        small_settings(toy_corpus, "model.hidden_size=9", "train.epochs=1"), tmp_path / "b"
    )
    other = tmp_path / "b"
    shutil.copy(other / "weights.safetensors", copy / "weights.safetensors")
    digest = json.loads((other / "bundle.json").read_text())["sha256"]["weights.safetensors"]
    _edit("bundle.json", lambda d: d["sha256"].update({"weights.safetensors": digest}))(copy)
    with pytest.raises(BundleError, match=r"weights do not fit config.toml: .*size mismatch"):
        load(copy)


def test_no_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="none: no such model folder"):
        load(tmp_path / "none")
