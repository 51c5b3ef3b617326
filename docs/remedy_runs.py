"""What make_remedies.py trains: problems, remedies, and what is said of them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

HEAD = """\
# Remedies

<!-- Written by docs/make_remedies.py from docs/remedy_runs.py; change these, then run it. -->

The literature on recurrent networks is, for the most part, about why their training fails, and what
to do. Here each remedy is one flag of `seqnlp train`. What it does was measured on a problem small
enough to repeat: `python docs/make_remedies.py` trains everything on this page and draws it, with
the seeds {seeds} where nothing else is said (the training sequences and the first weights are
others with each), on one core of a small shared machine (AMD EPYC). Lines are means of the seeds,
bands go from the one to the other. The problems are made to ask for memory ([what they
are](../corpora/long_range/card.md)) or to have too little to learn from ({few:,} of the bundled
reviews). What a remedy does to texts of your own these figures do not say: `seqnlp compare` does.

Which one a model needs, [`seqnlp diagnose`](diagnosis.md) says. The plots on the right that show a
gradient are its `carry`: what is left of a random unit gradient at the last step, so many steps
back through the recurrence alone, after training (seed 0).
"""

Digits = Callable[[float], str]
"""How a figure is written."""


def small(value: float) -> str:
    return f"{value:.2g}" if abs(value) >= 1e-3 else f"{value:.1e}"


def share(value: float) -> str:
    return f"{100 * value:.0f} %"


def plain(value: float) -> str:
    return f"{value:.2f}"


def whole(value: float) -> str:
    return f"{value:.0f}"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is learned, and what is shown of it.

    corpus: its name, where FEW is the folder of few reviews. told: above a table. figure: on the
    left of a plot. carries: whether the right has what the recurrence carries, else `beside`.
    columns: figure, its name, unit and digits.
    """

    task: str
    corpus: str
    sets: tuple[str, ...]
    told: str
    figure: str
    figure_name: str
    scale: str
    carries: bool
    columns: tuple[tuple[str, str, str, Digits], ...]
    beside: str = ""
    beside_name: str = ""
    beside_scale: str = "linear"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A line of a plot: settings over those of the problem, and what of them is typed."""

    label: str
    sets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A part of the page; seeds: how many."""

    name: str
    title: str
    problem: str
    text: str
    cases: tuple[Case, ...]
    seeds: int = 2


SHORT = {"model.cell": "--cell", "train.lr": "--lr", "head.attention": "--attention"}


def flags_of(case: Case) -> str:
    """The settings as they are typed: `--cell gru`."""
    words = []
    for item in case.sets:
        key, _, value = item.partition("=")
        words.append(f"{SHORT[key]} {value}" if key in SHORT else f"--set {shlex.quote(item)}")
    return f"`{' '.join(words)}`"


ADDED = (
    ("loss", "mean squared error", "", small),
    ("solved", "solved", "", share),
    ("seconds", "processor seconds", "", whole),
)
PROBLEMS = {
    "adding": Problem(
        task="long_range",
        corpus="adding:30,train=6000,test=200",
        sets=("train.epochs=8",),
        told="`seqnlp train --task long_range --corpus adding:30,train=6000,test=200 --epochs 8`. "
        "Of the best epoch on validation; who remembers nothing has 0.17.",
        figure="loss",
        figure_name="MSE",
        scale="log",
        carries=True,
        columns=ADDED,
    ),
    "copying": Problem(
        task="long_range",
        corpus="copy_memory:20,symbols=5,train=6000,test=200",
        sets=("train.epochs=8",),
        told="`seqnlp train --task long_range --epochs 8 --corpus "
        "copy_memory:20,symbols=5,train=6000,test=200`. Of the best epoch on validation; who "
        "remembers nothing gets one symbol of eight right.",
        figure="accuracy",
        figure_name="accuracy",
        scale="linear",
        carries=True,
        columns=(
            ("accuracy", "symbols right", "", share),
            ("loss", "nats a step", "", small),
            ("seconds", "processor seconds", "", whole),
        ),
    ),
    "few": Problem(
        task="sentiment",
        corpus="FEW",
        sets=(
            "model.hidden_size=64", "model.embedding_size=50", "text.ngram_buckets=0",
            "train.epochs=15", "hooks.dropout=false",
            "hooks.early_stopping=false",
        ),
        told="2,000 training texts of `reviews`; `--hidden-size 64 --set model.embedding_size=50 "
        "--set text.ngram_buckets=0 --epochs 15 --set hooks.early_stopping=false`, without "
        "dropout but where it is named. Validation accuracy of the epoch with the least loss; the "
        "losses of the last epoch.",
        figure="loss",
        figure_name="loss, nats",
        scale="linear",
        carries=False,
        columns=(
            ("accuracy", "accuracy", "", share),
            ("loss last", "loss at the end", "", plain),
            ("train_loss last", "training loss at the end", "", small),
        ),
        beside="train_loss",
        beside_name="training loss, nats",
        beside_scale="log",
    ),
    "recall": Problem(
        task="recall",
        corpus="reverse:1-6,symbols=6,train=8000,validation=100,validate=7-9,test=6,each=20",
        sets=("train.epochs=3", "train.lr=0.005"),
        told="`seqnlp train --task recall --corpus "
        "reverse:1-6,symbols=6,train=8000,validation=100,validate=7-9,test=6,each=20 --epochs 3 "
        "--lr 0.005`; validation has sequences of 7 to 9 words, train of 1 to 6.",
        figure="error",
        figure_name="share of wrong words",
        scale="linear",
        carries=False,
        columns=(
            ("error", "wrong words, longer sequences", "", share),
            ("train_loss last", "training loss at the end", "", small),
            ("seconds", "processor seconds", "", whole),
        ),
        beside="train_loss",
        beside_name="training loss, nats",
        beside_scale="log",
    ),
}  # fmt: skip


def cell(name: str, *sets: str, label: str = "") -> Case:
    return Case(label=label or name, sets=(f"model.cell={name}", *sets))


REMEDIES = (
    Remedy(
        name="gates",
        title="Gates",
        problem="adding",
        text="""
The gradient of a plain tanh network goes through a matrix and a slope below 1 at each step, and
vanishes or explodes with the number of steps (Bengio et al. 1994; Pascanu et al. 2013,
arXiv:1211.5063). A gate that decides what stays gives it a way on which nothing is multiplied
but the gate (Hochreiter and Schmidhuber 1997; Cho et al. 2014, arXiv:1406.1078). `min_gru` has
gates that do not even look at the state, and is a linear recurrence (Feng et al. 2024,
arXiv:2410.01201).
""",
        cases=tuple(map(cell, ("rnn", "gru", "lstm", "min_gru"))),
    ),
    Remedy(
        name="forget_bias",
        title="Bias of the forget gate",
        problem="adding",
        text="""
A forget gate that begins half shut halves the gradient at every step. With a bias of 1, which is
the default here, it begins three quarters open (Gers et al. 2000; Jozefowicz et al. 2015); a
larger one remembers longer from the start, and over 30 steps is no help.
""",
        cases=(
            cell("lstm", "model.forget_bias=-1", label="bias -1"),
            cell("lstm", "model.forget_bias=0", label="bias 0"),
            cell("lstm", label="bias 1 (default)"),
            cell("lstm", "model.forget_bias=3", label="bias 3"),
        ),
    ),
    Remedy(
        name="clipping",
        title="Clipping, by norm and by value",
        problem="adding",
        text="""
Where gradients explode, a single step can undo all before it. Clipping bounds its length
(Pascanu et al. 2013, algorithm 1) or each of its elements (Mikolov 2012), which changes its
direction and here helps little. The network here is an IRNN, which begins at the edge between
vanishing and exploding. The task `long_range` clips at a norm of 1 by default.
""",
        cases=(
            cell("irnn", "train.lr=0.001", "hooks.clip=false", label="none"),
            cell("irnn", "train.lr=0.001", "hooks.clip.norm=1", label="norm 1"),
            cell("irnn", "train.lr=0.001", "hooks.clip={value=0.1}", label="value 0.1"),
        ),
    ),
    Remedy(
        name="initialization",
        title="Initialization",
        problem="adding",
        text="""
Where the recurrent matrix begins decides what comes back at first: singular values of 1
(orthogonal, Saxe et al. 2014, arXiv:1312.6120, the default) keep the length of a gradient but
for the slopes; smaller ones lose it. The identity with ReLUs is the IRNN (Le et al. 2015,
arXiv:1504.00941), which is `--cell irnn`.
""",
        cases=(
            cell("rnn", "train.lr=0.001", "model.recurrent_init=small", label="small"),
            cell("rnn", "train.lr=0.001", "model.recurrent_init=normal", label="normal"),
            cell("rnn", "train.lr=0.001", label="orthogonal (default)"),
            cell("irnn", "train.lr=0.001", "hooks.clip.norm=1", label="identity, ReLU"),
        ),
    ),
    Remedy(
        name="activation",
        title="Activation",
        problem="adding",
        text="""
The slope of tanh is below 1 everywhere but at 0, and near 0 where units are saturated; that of a
ReLU is 1 wherever it is open. What no longer vanishes may explode: ReLUs need clipping. All
activations are on the page [Models](models.md).
""",
        cases=(
            cell("rnn", "train.lr=0.001", label="tanh (default)"),
            cell("rnn", "train.lr=0.001", "model.cell_options.activation=relu", label="relu"),
        ),
    ),
    Remedy(
        name="truncation",
        title="Truncated backpropagation through time",
        problem="copying",
        text="""
Cutting the gradient after so many steps (Williams and Peng 1990) bounds what can explode; it
also bounds what can be learned. `copy_memory:20` with five symbols takes 30 steps, 25 from each
symbol to where it is asked for: in stretches of 10 the two never meet. A cell that must learn to
remember is lost then. One that remembers from the start, as the LRU does (Orvieto et al. 2023,
arXiv:2303.06349), has the symbols in its state whether it was taught to or not, and only needs
to learn how to read them.
""",
        cases=(
            cell("gru", label="GRU, whole rows"),
            cell("gru", "hooks.truncate.steps=10", label="GRU, 10 steps"),
            cell("lru", label="LRU, whole rows"),
            cell("lru", "hooks.truncate.steps=10", label="LRU, 10 steps"),
        ),
    ),
    Remedy(
        name="attention",
        title="Attention",
        problem="adding",
        text="""
Attention looks at all states at once, so that no gradient has to come back through time at all
(Bahdanau et al. 2015, arXiv:1409.0473; of one query, Yang et al. 2016): a tanh network that
cannot solve the problem from its last state can do so by it, though its recurrence carries no
further.
""",
        cases=(
            cell("rnn", label="last state"),
            cell("rnn", "head.attention=additive", label="attention"),
        ),
    ),
    Remedy(
        name="memory",
        title="External memory",
        problem="recall",
        text="""
A cell with a memory of its own size can hold what its state cannot, and read it where it was
written, however long ago: Neural Turing Machine (Graves et al. 2014, arXiv:1410.5401), stack
(Grefenstette et al. 2015, arXiv:1506.02516), differentiable neural computer. These cells are in
the package [seqnlp-memory](../plugins/seqnlp-memory/README.md), which shows the others on longer
runs; here a stack reverses sequences that are longer than any that it has learned from.
""",
        cases=tuple(map(cell, ("lstm", "stack"))),
        seeds=1,
    ),
    Remedy(
        name="normalization",
        title="Batch and layer normalization",
        problem="few",
        text="""
Normalized sums keep units away from the flat ends of their activations, and steps of one size.
Layer norm does so within a step and a row, in each gate of the cell (Ba et al. 2016,
arXiv:1607.06450) or on what a layer puts out; batch norm over the rows of a batch, each step for
itself (Cooijmans et al. 2017, arXiv:1603.09025).
""",
        seeds=1,
        cases=(
            cell("lstm"),
            cell("layer_norm_lstm"),
            cell("batch_norm_lstm"),
            cell("lstm", "model.layer_norm=true", label="layer output"),
        ),
    ),
    Remedy(
        name="penalties",
        title="L1 and L2",
        problem="few",
        text="""
A penalty on the size of weights holds back a network that knows its training texts by heart. It
also pulls recurrent weights towards a spectral radius at which gradients vanish (Pascanu et al.
2013, section 3.1), and so is no friend of long memories. With an adaptive optimizer the weight
decay of AdamW, which acts on the weights and not through the gradient, is the cleaner way
(Loshchilov and Hutter 2019, arXiv:1711.05101). How strong is a matter of trying: the L1 here is
too strong to learn anything.
""",
        seeds=1,
        cases=(
            cell("lstm", label="none"),
            cell("lstm", "hooks.penalty.l2=0.001", label="L2 0.001"),
            cell("lstm", "hooks.penalty.l1=0.0003", label="L1 0.0003"),
            cell("lstm", "train.optimizer_options.weight_decay=1.0", label="weight decay 1"),
        ),
    ),
    Remedy(
        name="dropout",
        title="Dropout, by elements and locked over time",
        problem="few",
        text="""
Dropout makes each unit do without the others (Srivastava et al. 2014). Drawn anew at each step
within the recurrence it would destroy the memory; masks that are the same at all steps (Gal and
Ghahramani 2016, arXiv:1512.05287), that drop weights (Merity et al. 2018, arXiv:1708.02182), or
that drop what a step would add alone (Semeniuta et al. 2016, arXiv:1603.05118) do not. Zoneout
keeps old values instead (Krueger et al. 2017, arXiv:1606.01305).
""",
        seeds=1,
        cases=(
            cell("lstm", label="none"),
            cell("lstm", "hooks.dropout={embedding=0.4}", label="embedding"),
            cell("lstm", 'hooks.dropout={embedding=0.4, kind="locked"}', label="embedding, locked"),
            cell("lstm", "hooks.dropout={recurrent=0.4}", label="recurrent, locked"),
            cell("lstm", 'hooks.dropout={recurrent=0.4, kinds={recurrent="weight"}}',
                 label="weights"),
            cell("lstm", 'hooks.dropout={recurrent=0.4, kinds={recurrent="candidate"}}',
                 label="candidate"),
            cell("lstm", "model.zoneout_output=0.2", label="zoneout"),
        ),
    ),
)  # fmt: skip
