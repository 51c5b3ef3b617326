"""What options refuse, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from seqnlp.config import validate_section
from seqnlp.errors import SettingsError
from seqnlp.tasks.decoding import Decoding


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beams": 5}, "head.decoding: no key 'beams'; did you mean 'beam'?"),
        ({"beam": 0}, "head.decoding: beam: Input should be greater than or equal to 1, not 0"),
        ({"beam": "wide"}, "head.decoding: beam: Input should be a valid integer, unable to parse string as an integer, not 'wide'"),
        ({"beam": 3, "sample": True}, "head.decoding: sample: false where beam is over 1 (it is 3), not True"),
        ({"beam": 3, "n_best": 4}, "head.decoding: n_best: at most beam, which is 3, not 4"),
        ({"n_best": 2}, "head.decoding: n_best: at most beam, which is 1, not 2"),
        ({"n_best": 0}, "head.decoding: n_best: Input should be greater than or equal to 1, not 0"),
        ({"length_penalty": -1}, "head.decoding: length_penalty: Input should be greater than or equal to 0, not -1"),
        ({"coverage_penalty": -0.1}, "head.decoding: coverage_penalty: Input should be greater than or equal to 0, not -0.1"),
        ({"min_length": -1}, "head.decoding: min_length: Input should be greater than or equal to 0, not -1"),
        ({"max_words": 0}, "head.decoding: max_words: Input should be greater than or equal to 1, not 0"),
        ({"length_prior": -1}, "head.decoding: length_prior: Input should be greater than or equal to 0, not -1"),
        ({"length_ratio": 0.3}, "head.decoding: length_ratio: none without length_prior, not 0.3"),
        ({"length_prior": 1, "length_ratio": 0}, "head.decoding: length_ratio: Input should be greater than 0, not 0"),
        ({"max_length": 0}, "head.decoding: max_length: Input should be greater than or equal to 1, not 0"),
        ({"max_length": 3, "min_length": 4}, "head.decoding: max_length: at least min_length, which is 4, not 3"),
        ({"max_ratio": -1}, "head.decoding: max_ratio: Input should be greater than or equal to 0, not -1"),
        ({"max_extra": -1}, "head.decoding: max_extra: Input should be greater than or equal to 0, not -1"),
        ({"sample": True, "temperature": 0}, "head.decoding: temperature: Input should be greater than 0, not 0"),
        ({"temperature": 0.7}, "head.decoding: temperature: the default, 1.0, without sample = true, not 0.7"),
        ({"top_k": 5}, "head.decoding: top_k: the default, 0, without sample = true, not 5"),
        ({"sample": True, "top_k": -1}, "head.decoding: top_k: Input should be greater than or equal to 0, not -1"),
        ({"top_p": 0.5}, "head.decoding: top_p: the default, 1.0, without sample = true, not 0.5"),
        ({"sample": True, "top_p": 0}, "head.decoding: top_p: Input should be greater than 0, not 0"),
        ({"sample": True, "top_p": 1.5}, "head.decoding: top_p: Input should be less than or equal to 1, not 1.5"),
        ({"seed": 3}, "head.decoding: seed: the default, 0, without sample = true, not 3"),
        ({"sample": True, "seed": -3}, "head.decoding: seed: Input should be greater than or equal to 0, not -3"),
        ({"beam": 5, "diverse_groups": 2}, "head.decoding: diverse_groups: a divisor of beam, which is 5, not 2"),
        ({"diverse_groups": 0}, "head.decoding: diverse_groups: Input should be greater than or equal to 1, not 0"),
        ({"diversity": 1.0}, "head.decoding: diversity: the default, 0.5, without diverse_groups, not 1.0"),
        ({"beam": 4, "diverse_groups": 2, "diversity": -1}, "head.decoding: diversity: Input should be greater than or equal to 0, not -1"),
        ({"no_repeat_ngram": -1}, "head.decoding: no_repeat_ngram: Input should be greater than or equal to 0, not -1"),
        ({"sample": True, "constraints": "a b"}, "head.decoding: constraints: none with sample = true, not 'a b'"),
        ({"beam": 4, "diverse_groups": 2, "constraints": ["a"]}, "head.decoding: constraints: none with diverse_groups, not ['a']"),
        ({"replace_unknown": "copy"}, "head.decoding: replace_unknown: Input should be 'none' or 'attention', not 'copy'"),
        ({"mbr": True}, "head.decoding: mbr: false without beam = 2 or more, to choose from, not True"),
        ({"sample": True, "mbr": True}, "head.decoding: mbr: false without n_best = 2 or more, to choose from, not True"),
        ({"beam": 4, "mbr": True, "mbr_temperature": 0}, "head.decoding: mbr_temperature: Input should be greater than 0, not 0"),
        ({"beam": 4, "neighbors": 5}, "head.decoding: neighbors: 0 without mbr = true, which chooses among them, not 5"),
        ({"beam": 4, "mbr": True, "neighbors": 5, "prefix": "a"}, "head.decoding: neighbors: 0 with a prefix or constraints, which neighbors do not heed, not 5"),
        ({"beam": 4, "mbr": True, "neighbors": 5, "constraints": ["a"]}, "head.decoding: neighbors: 0 with a prefix or constraints, which neighbors do not heed, not 5"),
        ({"beam": 4, "mbr": True, "neighbors": -1}, "head.decoding: neighbors: Input should be greater than or equal to 0, not -1"),
        ({"beam": 4, "mbr": True, "neighbors": 1, "neighbor_weight": -1}, "head.decoding: neighbor_weight: Input should be greater than or equal to 0, not -1"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)  # fmt: skip
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        validate_section(Decoding, options, "head.decoding")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beam": 5, "n_best": 5, "constraints": "a b", "prefix": "The"},
        {"sample": True, "n_best": 10, "temperature": 0.7, "top_k": 5, "top_p": 0.9, "seed": 4},
        {"beam": 6, "diverse_groups": 3, "diversity": 1.0},
        {"min_length": 4, "max_length": 4},
    ],
    ids=str,
)
def test_options_that_can_be(options: dict[str, Any]) -> None:
    kept = validate_section(Decoding, options, "head.decoding").model_dump()
    assert {key: kept[key] for key in options} == options | (
        {"constraints": ("a b",)} if "constraints" in options else {}
    )


def test_weights_that_are_not_asked_for_are_kept() -> None:
    # A saved model has them written out, whatever is the default by then.
    options = validate_section(Decoding, {"mbr_temperature": 3.5, "neighbor_weight": 1.5}, "head")
    assert (options.mbr_temperature, options.neighbor_weight) == (3.5, 1.5)
