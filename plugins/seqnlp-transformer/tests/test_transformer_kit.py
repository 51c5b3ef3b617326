"""The checks that every encoder and every decoder of seqnlp owes."""

from __future__ import annotations

import pytest

from seqnlp.testing import check_decoder, check_encoder


@pytest.mark.parametrize("check", check_encoder.names)
def test_the_encoder_keeps_its_contract(check: str) -> None:
    check_encoder("transformer", only=check)


@pytest.mark.parametrize("check", check_decoder.names)
def test_the_decoder_keeps_its_contract(check: str) -> None:
    check_decoder("transformer", only=check)
