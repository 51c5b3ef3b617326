"""The plugin as its users meet it: installed from a wheel, found through package metadata."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import torch

import seqnlp
from seqnlp.registry import cells

DISTRIBUTION = importlib.metadata.distribution("seqnlp-mgu")


def test_it_is_installed_from_a_wheel_and_not_read_from_the_source_tree() -> None:
    assert DISTRIBUTION.read_text("direct_url.json") is None or "dir_info" not in str(
        DISTRIBUTION.read_text("direct_url.json")
    )
    module = sys.modules[cells.get("mgu").__module__]
    assert Path(__file__).parents[1] not in Path(str(module.__file__)).parents


def test_the_name_is_listed_with_its_package_without_importing_it() -> None:
    code = (
        "import sys; from seqnlp.registry import cells; "
        "print(cells.names()['mgu'], cells.summary('mgu'), 'seqnlp_mgu' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == (
        "seqnlp-mgu Minimal gated unit: one gate both forgets and resets. False"
    )


def test_a_step_is_the_formula() -> None:
    torch.manual_seed(0)
    cell = cells.get("mgu")(3, 4).double()
    x, h = torch.randn(2, 3).double(), torch.randn(2, 4).double()
    w_f, w_n = cell.weight_x.chunk(2)
    u_f, u_n = cell.weight_h.chunk(2)
    b_f, b_n = cell.bias.chunk(2)
    c_f, c_n = cell.bias_h.chunk(2)
    f = 1 / (1 + torch.exp(-(x @ w_f.T + b_f + h @ u_f.T + c_f)))
    n = torch.tanh(x @ w_n.T + b_n + f * (h @ u_n.T + c_n))
    output, state = cell(x, (h,))
    torch.testing.assert_close(output, (1 - f) * h + f * n)
    assert state[0] is output


def test_it_trains_saves_and_loads(tmp_path: Path) -> None:
    rows = ["label\ttext", *("good\tfine work", "bad\tpoor work") * 20]
    (tmp_path / "train.tsv").write_text("\n".join(rows) + "\n")
    settings = seqnlp.load_settings(
        overrides=[
            f"corpus.name={tmp_path / 'train.tsv'}",
            "model.cell=mgu",
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
