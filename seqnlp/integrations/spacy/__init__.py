"""The component `seqnlp` of spaCy pipelines.

    nlp.add_pipe("seqnlp", config={"model": "runs/reviews"})

spaCy imports this module with every pipeline that it makes, so torch and the toolkit are imported
when a component is made.
"""

# spaCy reads the annotations of `make_component` as they are: they must not be postponed.
from typing import Literal

from spacy.language import Language

from seqnlp.integrations.spacy.component import SeqnlpComponent

__all__ = ["SeqnlpComponent", "make_component"]


@Language.factory(
    "seqnlp",
    assigns=["doc.cats"],
    default_config={
        "model": None,
        "threshold": None,
        "attribute": None,
        "tokens": "model",
        "cats": True,
        "batch_size": 64,
    },
)
def make_component(
    nlp: Language,
    name: str,
    model: str | None,
    threshold: float | None,
    attribute: str | None,
    tokens: Literal["model", "doc"],
    cats: bool,
    batch_size: int,
) -> SeqnlpComponent:
    """What `nlp.add_pipe("seqnlp", ...)` makes; see `SeqnlpComponent`."""
    return SeqnlpComponent(
        nlp,
        name,
        model,
        threshold=threshold,
        attribute=attribute,
        tokens=tokens,
        cats=cats,
        batch_size=batch_size,
    )
