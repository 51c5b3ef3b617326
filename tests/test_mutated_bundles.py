"""Whatever becomes of the files of a model: it answers or is refused in one line, and no more."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

import seqnlp
from seqnlp.bundle import load
from seqnlp.errors import BundleError, SettingsError
from tests.bundle_mutations import sign
from tests.toy import small_settings
from tests.toy_translation import small_translation, write_pairs

ROOT = Path(__file__).parents[1]


QUICK = [
    "train.epochs=1", "model.hidden_size=8", "model.embedding_size=5", "model.engine=reference",
]  # fmt: skip


@pytest.fixture(scope="module")
def models(toy_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One of a task that gives labels."""
    folder = tmp_path_factory.mktemp("models") / "sentiment"
    options = ["text.tokenizer=bpe", "text.tokenizer_options.size=300", "head.attention=additive"]
    seqnlp.train(small_settings(toy_corpus, *QUICK, *options, "head.evidence=logistic"), folder)
    return [folder]


def write_translation(folder: Path) -> Path:
    """A model with all that a task that writes can keep in its folder."""
    options = [
        "text.tokenizer=unigram", 'text.normalizers=["lowercase"]', "head.joint=true",
        "head.copying=true", "head.neighbors=true", "head.truecase=true",
    ]  # fmt: skip
    seqnlp.train(small_translation(write_pairs(folder / "pairs"), *QUICK, *options), folder / "run")
    return folder / "run"


def run(models: list[Path], first: int, last: int) -> Counter[str]:
    """What became of them, by kind; stops at the first that did what none may do."""
    words = [sys.executable, "-m", "tests.bundle_mutations", str(first), str(last)]
    environment = {**os.environ, "SEQNLP_COMPILER": "none", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words, *map(str, models)], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [each for each in found if each["end"] not in ("answered", "refused")]
    assert wrong == []
    assert done.returncode == 0, f"after {len(found)}: {done.stderr[-2000:]}"
    assert len(found) == last - first
    return Counter(each["end"] for each in found)


def test_some_changes_to_the_files_of_models(models: list[Path]) -> None:
    ends = run(models, 0, 36)
    assert min(ends["answered"], ends["refused"]) > 3


@pytest.mark.slow
def test_a_thousand_changes_to_the_files_of_models(models: list[Path], tmp_path: Path) -> None:
    ends = run([*models, write_translation(tmp_path)], 36, 1100)
    assert min(ends["answered"], ends["refused"]) > 100


@pytest.fixture
def copy(models: list[Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(models[0], tmp_path / "copy"))


@pytest.mark.parametrize(
    "setting",
    ["hidden_size = 60000", "layers = 250", "ngram_buckets = 90000000"],
)
def test_settings_that_ask_for_more_than_the_weights_are_refused_before_memory_is(
    copy: Path, setting: str
) -> None:
    settings, key = copy / "config.toml", setting.split()[0]
    settings.write_text(re.sub(rf"(?m)^{key} = .*$", setting, settings.read_text()))
    assert setting in settings.read_text()
    sign(copy)
    message = "damaged: no state of this task: the settings ask for more weights than the model has"
    with pytest.raises(BundleError, match=f"^{copy / 'bundle.json'}: {message}$"):
        load(copy)


def test_a_link_out_of_the_folder_is_not_followed(copy: Path, tmp_path: Path) -> None:
    path = copy / "vocabulary.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    message = "a link out of the model's folder; put the file there"
    with pytest.raises(BundleError, match=f"^{path}: {message}$"):
        load(copy)
    path.unlink()
    (copy / "real.json").write_bytes((tmp_path / "elsewhere.json").read_bytes())
    path.symlink_to("real.json")
    (tmp_path / "latest").symlink_to(copy)
    assert load(tmp_path / "latest")("fine").output in ("negative", "positive")


def test_the_cache_of_the_hub_links_to_its_blobs(copy: Path, tmp_path: Path) -> None:
    folder, blobs = (
        tmp_path / "models--a--b" / "snapshots" / "main",
        tmp_path / "models--a--b/blobs",
    )
    folder.mkdir(parents=True)
    blobs.mkdir()
    for path in copy.iterdir():
        (blobs / f"blob-{path.name}").write_bytes(path.read_bytes())
        (folder / path.name).symlink_to(f"../../blobs/blob-{path.name}")
    assert load(folder)("fine") == load(copy)("fine")


def test_values_within_values_without_end_are_one_line(copy: Path) -> None:
    settings = copy / "config.toml"
    written = settings.read_text()
    settings.write_text("deep = " + "[" * 5000 + "]" * 5000 + "\n" + written)
    sign(copy)
    with pytest.raises(SettingsError, match=r"^\S+config\.toml: not settings: values .* too deep$"):
        load(copy)
    settings.write_text(written)
    for text in ("[" * 100_000 + "]" * 100_000, '{"x": ' + "9" * 10_000 + "}"):
        (copy / "tokenizer.json").write_text(text)
        sign(copy)
        message = r"^\S+tokenizer\.json: damaged: values that no model has$"
        with pytest.raises(BundleError, match=message):
            load(copy)


def test_weights_that_do_not_fit_are_told_in_a_line_that_can_be_read(copy: Path) -> None:
    for weights, message in (
        ({f"weight{n}": torch.zeros(1) for n in range(99)}, r".{200,450} \.\.\."),
        ({"x": torch.zeros(1, dtype=torch.complex64)}, "they are complex numbers"),
    ):
        data = save(weights, metadata={"tied": "{}"})
        (copy / "weights.safetensors").write_bytes(data)
        sign(copy)
        with pytest.raises(BundleError, match=f"do not fit config.toml: {message}$"):
            load(copy)
