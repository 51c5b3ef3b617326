"""The kinds of parts that there is a template for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A template and how what it makes is called and used.

    registry: the kind of the registry, in the plural. file: where the part is written, in the
    package. ending: what the name of its class ends in; "" for a function. edit: what an author
    changes there first. use: what is typed to train with it, with {name} in it.
    """

    registry: str
    file: str
    ending: str
    edit: str
    use: str


KINDS = {
    "cell": Kind(
        registry="cells",
        file="cell.py",
        ending="Cell",
        edit="the formula is `update`",
        use="seqnlp train --cell {name}",
    ),
    "linear-cell": Kind(
        registry="cells",
        file="cell.py",
        ending="Cell",
        edit="the formula is `mix`",
        use="seqnlp train --cell {name}",
    ),
    "encoder": Kind(
        registry="encoders",
        file="encoder.py",
        ending="Encoder",
        edit="the network is in `__init__` and `forward`",
        use="seqnlp train --encoder {name}",
    ),
    "decoder": Kind(
        registry="decoders",
        file="decoder.py",
        ending="Decoder",
        edit="the network is in `__init__` and `read`",
        use="seqnlp train --task translation --decoder {name}",
    ),
    "attention": Kind(
        registry="attentions",
        file="attention.py",
        ending="Attention",
        edit="the formula is `prepare` and `score`",
        use="seqnlp train --attention {name}",
    ),
    "tokenizer": Kind(
        registry="tokenizers",
        file="tokenizer.py",
        ending="Tokenizer",
        edit="texts are cut in `tokenize`",
        use="seqnlp train --tokenizer {name}",
    ),
    "corpus": Kind(
        registry="corpora",
        file="corpus.py",
        ending="",
        edit="the format is read in `read_rows`",
        use="seqnlp train --corpus {name}",
    ),
    "task": Kind(
        registry="tasks",
        file="task.py",
        ending="Task",
        edit="what is learned is `Reader` and `loss`, what is answered `answer`",
        use="seqnlp train --task {name}",
    ),
    "hook": Kind(
        registry="hooks",
        file="hook.py",
        ending="Hook",
        edit="what it does is in the methods `on_...`",
        use="seqnlp train --set hooks.{name}=true",
    ),
}
