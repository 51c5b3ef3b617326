"""The plugin as its users meet it: installed from a wheel, found through package metadata."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import torch

import seqnlp
from seqnlp.registry import cells

DISTRIBUTION = importlib.metadata.distribution("seqnlp-ugrnn")


def test_it_is_installed_from_a_wheel_and_not_read_from_the_source_tree() -> None:
    assert DISTRIBUTION.read_text("direct_url.json") is None or "dir_info" not in str(
        DISTRIBUTION.read_text("direct_url.json")
    )
    module = sys.modules[cells.get("ugrnn").__module__]
    assert Path(__file__).parents[1] not in Path(str(module.__file__)).parents


def test_the_name_is_listed_with_its_package_without_importing_it() -> None:
    code = (
        "import sys; from seqnlp.registry import cells; "
        "print(cells.names()['ugrnn'], cells.summary('ugrnn'), 'seqnlp_ugrnn' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == (
        "seqnlp-ugrnn Update gate network: one gate says how much of the state is kept. False"
    )


def test_a_step_is_the_formula() -> None:
    torch.manual_seed(0)
    cell = cells.get("ugrnn")(3, 4).double()
    x, h = torch.randn(2, 3).double(), torch.randn(2, 4).double()
    w_g, w_c = cell.weight_x.chunk(2)
    u_g, u_c = cell.weight_h.chunk(2)
    b_g, b_c = cell.bias.chunk(2)
    g = 1 / (1 + torch.exp(-(x @ w_g.T + h @ u_g.T + b_g)))
    c = torch.tanh(x @ w_c.T + h @ u_c.T + b_c)
    output, state = cell(x, (h,))
    torch.testing.assert_close(output, g * h + (1 - g) * c)
    assert state[0] is output


def test_it_trains_saves_and_loads(tmp_path: Path) -> None:
    rows = ["label\ttext", *("good\tfine work", "bad\tpoor work") * 20]
    (tmp_path / "train.tsv").write_text("\n".join(rows) + "\n")
    settings = seqnlp.load_settings(
        overrides=[
            f"corpus.name={tmp_path / 'train.tsv'}",
            "model.cell=ugrnn",
            "model.hidden_size=8",
            "train.epochs=8",
            "train.lr=0.02",
        ]
    )
    model = seqnlp.train(settings, tmp_path / "run")
    assert model("fine work").output == "good"
    assert model("poor work").output == "bad"
    again = seqnlp.load(tmp_path / "run")
    assert again("fine work") == model("fine work")
