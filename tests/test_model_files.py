"""Models as files in memory, and back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

import seqnlp
from seqnlp.bundle import Model
from seqnlp.errors import BundleError, InputError

TEXT = "The film was poor and then great ."


@pytest.mark.parametrize("run", ["toy_run", "pairs_run"])
def test_the_files_are_those_of_the_folder(run: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(run)
    model = seqnlp.load(folder)
    files = model.to_files(folder.name)
    assert list(files)[-1] == "bundle.json"
    on_disk = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert files == {n: p.read_bytes() for n, p in on_disk.items() if n != "log.jsonl"}
    again = Model.from_files(files)
    assert again(TEXT) == model(TEXT)
    assert again.metrics == model.metrics


def test_only_files_of_a_model_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    written: list[str] = []
    monkeypatch.setattr(
        "seqnlp.bundle.load",
        lambda folder, **_: written.extend(p.name for p in folder.parent.parent.rglob("*")),
    )
    files: dict[str, bytes] = {}
    for name in ("../../evil", "/etc/evil", "target/evil", "a/b/pipeline.json", "config.toml"):
        files[name] = b"x"
    Model.from_files(files)
    assert "config.toml" in written
    assert not {"evil", "pipeline.json"} & set(written)
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_are_one_clear_line_without_a_folder_that_is_gone(toy_run: Path) -> None:
    files = seqnlp.load(toy_run).to_files()
    with pytest.raises(BundleError, match=r"^model: not a saved model: it has no bundle.json$"):
        Model.from_files({})
    with pytest.raises(BundleError, match=r"^model/config.toml: damaged: its checksum differs"):
        Model.from_files({**files, "config.toml": b"seed = 5\n"})


def test_a_quantized_model_has_no_files(toy_run: Path) -> None:
    with pytest.raises(InputError, match="an int8 model is not saved: save the float one"):
        seqnlp.load(toy_run).quantize().to_files()
