"""Programs of torch: the same answers at any size, and without this toolkit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seqnlp import registry
from seqnlp.bundle import load
from seqnlp.cli.main import main
from seqnlp.errors import InputError
from seqnlp.integrations.torch_export import (
    INPUTS,
    compile_program,
    export_classifier,
    export_encoder,
    save_program,
)
from seqnlp.nn import Encoder, RecurrentEncoder
from seqnlp.types import Encoded, TokenBatch

PAGE = Path(__file__).parents[2] / "docs" / "cpp.md"
SIZES = [(1, 1), (1, 7), (3, 1), (5, 9)]

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def same_at_any_size(encoder: RecurrentEncoder) -> None:
    # In double precision: a norm of four numbers may lose digits of float32 on any engine.
    program = export_encoder(encoder.double()).module()
    for batch, time in SIZES:
        x = torch.randn(batch, time, 6, dtype=torch.float64)
        lengths = torch.randint(1, time + 1, (batch,))
        with torch.no_grad():
            states, summary = program(x, lengths)
            expected = encoder(x, lengths)
        torch.testing.assert_close(states, expected.states, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(summary, expected.summary, rtol=1e-5, atol=1e-5)


def test_an_encoder_is_the_same_at_any_size() -> None:
    torch.manual_seed(0)
    same_at_any_size(RecurrentEncoder(6, cell="min_gru", hidden_size=4).eval())


@pytest.mark.slow
@pytest.mark.parametrize("cell", sorted(registry.cells.names()))
def test_every_cell_is_the_same_at_any_size(cell: str) -> None:
    torch.manual_seed(0)
    both = cell != "batch_norm_lstm"
    encoder = RecurrentEncoder(6, cell=cell, hidden_size=4, layers=2, bidirectional=both)
    same_at_any_size(encoder.eval())


SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.modules["seqnlp"] = None
import torch
more = {"inputs.json": ""}
program = torch.export.load(sys.argv[1], extra_files=more).module()
described = json.loads(more["inputs.json"])
rows = json.load(sys.stdin)
with torch.no_grad():
    found = [program(tuple(torch.tensor(n, dtype=torch.int64) for n in row)).exp() for row in rows]
print(json.dumps({**described, "found": [each.tolist() for each in found]}))
"""


def test_a_saved_program_answers_without_the_toolkit(toy_run: Path, tmp_path: Path) -> None:
    model = load(toy_run)
    path = tmp_path / "new" / "model.pt2"
    save_program(model, path)
    ids = [[[4, 5, 6]], [[4], [3]], [[7, 3, 9, 2], [5, 0, 0, 0]]]
    lengths = [[3], [1, 1], [4, 1]]
    rows = [[a, b, [], []] for a, b in zip(ids, lengths, strict=True)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], input=json.dumps(rows), text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["inputs"] == ["ids", "lengths", "grams", "gram_positions"]
    assert answer["labels"] == ["negative", "positive"]
    vocabulary = model.task.pipeline.vocabulary
    assert vocabulary is not None
    assert answer["tokens"] == [vocabulary.token(n) for n in range(len(vocabulary))]
    for given, count, found in zip(ids, lengths, answer["found"], strict=True):
        for row, length, shares in zip(given, count, found, strict=True):
            text = " ".join(answer["tokens"][n] for n in row[:length])
            expected = model(text).probabilities
            assert expected is not None
            assert list(expected.values()) == pytest.approx(shares, abs=1e-5)


class Peeking(Encoder):
    """Looks at its numbers, so that nothing can be recorded for others."""

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        if float(x.sum()) > 0:
            x = x + 1
        mask = TokenBatch(ids=x[..., 0], lengths=lengths).mask
        return Encoded(states=x, mask=mask, summary=x[:, 0])


def test_what_cannot_be_exported_is_one_line(toy_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Peeking cannot be recorded for texts of any length: "):
        export_encoder(Peeking(6, 6))
    model = load(toy_run)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^cannot write .*file/model\.pt2: "):
        save_program(model, tmp_path / "file" / "model.pt2")
    model.task = torch.nn.Identity()  # type: ignore[assignment]
    model.task.settings = load(toy_run).settings
    with pytest.raises(InputError, match=r"^the task 'sentiment' cannot be exported as a program"):
        export_classifier(model)


@pytest.mark.parametrize(("options", "message"), [
    (["--output", "{tmp}"], "{tmp}: a folder; a program is one file: {tmp}/model.pt2"),
    (["--output", "{tmp}/x", "--quantize", "int8"],
     "--quantize is for --format onnx: programs of torch keep float weights"),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["torch", "aoti"])
def test_the_command_says_what_it_does_not_write(
    toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str,
    options: list[str], message: str,
) -> None:  # fmt: skip
    filled = [option.format(tmp=tmp_path) for option in options]
    with pytest.raises(SystemExit, match="2"):
        main(["export", str(toy_run), "--format", kind, *filled])
    assert message.format(tmp=tmp_path) in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a compiler of C++")
def test_a_compiled_program_answers_in_python_and_in_cpp(toy_run: Path, tmp_path: Path) -> None:
    model, path = load(toy_run), tmp_path / "model.pt2"
    compile_program(model, path)
    ids, lengths = torch.tensor([[2, 3, 4]]), torch.tensor([3])
    nothing = torch.zeros(0, dtype=torch.int64)
    compiled = torch._inductor.aoti_load_package(str(path))
    assert json.loads(compiled.get_metadata()[INPUTS])["labels"] == ["negative", "positive"]
    program = export_classifier(model)[0].module()
    for batch, time in SIZES:
        given = torch.randint(2, 9, (batch, time)), torch.full((batch,), time), nothing, nothing
        with torch.no_grad():
            torch.testing.assert_close(compiled(given), program(given), rtol=1e-5, atol=1e-5)
    # The page's own program.
    source = re.search(r"```cpp\n(.*?)```", PAGE.read_text(), re.S)
    assert source is not None
    (tmp_path / "classify.cpp").write_text(source[1])
    home = Path(torch.__file__).parent
    subprocess.run(
        ["g++", "-std=c++20", f"-I{home}/include", f"-I{home}/include/torch/csrc/api/include",
         tmp_path / "classify.cpp", "-o", tmp_path / "classify", f"-L{home}/lib", "-ltorch",
         "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{home}/lib"],
        check=True,
    )  # fmt: skip
    done = subprocess.run(
        [tmp_path / "classify", path, "2", "3", "4"], capture_output=True, text=True, check=True
    )
    shares = [float(line) for line in done.stdout.split()]
    with torch.no_grad():
        expected = program((ids, lengths, nothing, nothing)).exp()[0].tolist()
    assert shares == pytest.approx(expected, abs=1e-5)
