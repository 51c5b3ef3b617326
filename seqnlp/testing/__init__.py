"""The conformance kit: what a part of each kind owes, as checks that say how to mend what is wrong.

In a plugin's tests, one test a check:

    from seqnlp.testing import check_cell

    @pytest.mark.parametrize("check", check_cell.names)
    def test_my_cell(check):
        check_cell("my-cell", only=check)

On the command line: `seqnlp plugin check my-cell`. Nothing here needs pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqnlp.lazily import lazily

if TYPE_CHECKING:
    from seqnlp.testing.attentions import check_attention
    from seqnlp.testing.cells import check_cell
    from seqnlp.testing.contract import Contract, Finding, Part, Report, Skip, Violation
    from seqnlp.testing.contracts import CONTRACTS
    from seqnlp.testing.corpora import check_corpus
    from seqnlp.testing.decoders import check_decoder
    from seqnlp.testing.encoders import check_encoder
    from seqnlp.testing.hooks import check_hook
    from seqnlp.testing.normalizers import check_normalizer
    from seqnlp.testing.poolings import check_pooling
    from seqnlp.testing.tasks import check_task
    from seqnlp.testing.tokenizers import check_tokenizer

# Imported when first used: who checks a tokenizer need not wait for torch.
_HOME = {
    "CONTRACTS": "seqnlp.testing.contracts",
    "Contract": "seqnlp.testing.contract",
    "Finding": "seqnlp.testing.contract",
    "Part": "seqnlp.testing.contract",
    "Report": "seqnlp.testing.contract",
    "Skip": "seqnlp.testing.contract",
    "Violation": "seqnlp.testing.contract",
    "check_attention": "seqnlp.testing.attentions",
    "check_cell": "seqnlp.testing.cells",
    "check_corpus": "seqnlp.testing.corpora",
    "check_decoder": "seqnlp.testing.decoders",
    "check_encoder": "seqnlp.testing.encoders",
    "check_hook": "seqnlp.testing.hooks",
    "check_normalizer": "seqnlp.testing.normalizers",
    "check_pooling": "seqnlp.testing.poolings",
    "check_task": "seqnlp.testing.tasks",
    "check_tokenizer": "seqnlp.testing.tokenizers",
}

__all__ = [
    "CONTRACTS", "Contract", "Finding", "Part", "Report", "Skip", "Violation", "check_attention",
    "check_cell", "check_corpus", "check_decoder", "check_encoder", "check_hook",
    "check_normalizer", "check_pooling", "check_task", "check_tokenizer",
]  # fmt: skip

__getattr__, __dir__ = lazily(__name__, _HOME)
