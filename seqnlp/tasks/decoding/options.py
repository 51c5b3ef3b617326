"""How a sequence is searched for: the table `head.decoding` of a recipe, and options of a call."""

from __future__ import annotations

from typing import Literal

from pydantic import Field as Limit
from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from seqnlp.config import Names, Section


class Decoding(Section):
    """How the outputs of a model are searched for.

    The order of the keys is that of their checks: each may depend on those above it.
    """

    beam: int = Limit(default=1, ge=1, le=1000)
    """Hypotheses kept at each step; 1 is greedy search."""
    sample: bool = False
    """Draw `n_best` outputs at random instead of searching for the best."""
    n_best: int = Limit(default=1, ge=1, le=1000)
    """Hypotheses given for each source."""
    length_penalty: float = Limit(default=1.0, ge=0, le=10)
    """Exponent a of Wu et al. (2016, eq. 14): log P is divided by ((5 + length) / 6)^a."""
    coverage_penalty: float = Limit(default=0.0, ge=0, le=100)
    """Factor b of theirs: b * sum of log(min(attention to a source token, 1)) is added."""
    length_prior: float = Limit(default=0.0, ge=0, le=1000)
    """Factor of a log-normal prior on the tokens of an output, given those of its source."""
    length_ratio: float | None = Limit(default=None, gt=0, le=1000)
    """Tokens of an output for each of its source, ends counted, that the prior takes for usual;
    unless given, what was measured on train."""
    min_length: int = Limit(default=0, ge=0)
    """Tokens that an output has at least, its end not counted."""
    max_length: int | None = Limit(default=None, ge=1)
    """Tokens that it has at most, whatever its source; of a long one that is read in parts, what is
    written of each part has at most so many, and at least `min_length`."""
    max_words: int | None = Limit(default=None, ge=1)
    """Whole words, between spaces, that it has at most; goes before `min_length`."""
    max_ratio: float = Limit(default=2.0, ge=0, le=1000)
    """It has at most max_ratio * tokens of its source + max_extra tokens; a task whose targets are
    cut finer than its sources counts these as finer, too."""
    max_extra: int = Limit(default=10, ge=0)
    """See `max_ratio`."""
    temperature: float = Limit(default=1.0, gt=0, le=1000)
    """Logits are divided by it before a draw."""
    top_k: int = Limit(default=0, ge=0)
    """Draw from this many most probable tokens; 0 is from all."""
    top_p: float = Limit(default=1.0, gt=0, le=1)
    """Draw from the fewest tokens with this share of the probability (Holtzman et al. 2020)."""
    seed: int = Limit(default=0, ge=0, lt=2**32)
    """Seed of the draws; each output has a stream of its own."""
    diverse_groups: int = Limit(default=1, ge=1)
    """Groups of the beam, which avoid each other's tokens (Vijayakumar et al. 2018)."""
    diversity: float = Limit(default=0.5, ge=0, le=1000)
    """What a token costs, in nats, for each hypothesis of earlier groups that has taken it."""
    no_repeat_ngram: int = Limit(default=0, ge=0)
    """No n-gram of this size occurs twice; 0 is without."""
    prefix: str = ""
    """What every output begins with."""
    constraints: Names = ()
    """Phrases that must occur in every output (Post and Vilar 2018)."""
    tidy: bool = False
    """Leave out quotes and brackets that have no partner."""
    replace_unknown: Literal["none", "attention"] = "none"
    """Put the source token of most attention in the place of an unknown one."""
    mbr: bool = False
    """Give, of all hypotheses of the beam or all draws, those that are expected to be most like a
    good output by the task's own figure; see `choose`."""
    mbr_temperature: float = Limit(default=2.0, gt=0, le=1000)
    """With `mbr` a hypothesis of a beam weighs exp(log P / mbr_temperature); draws count alike."""
    neighbors: int = Limit(default=0, ge=0, le=1000)
    """Outputs of the nearest training examples that choose and may be chosen, too."""
    neighbor_weight: float = Limit(default=2.0, ge=0, le=1000)
    """Each weighs this times the square of its similarity; all hypotheses weigh 1 together."""

    @property
    def method(self) -> str:
        """How outputs are found, in a word or two."""
        if self.sample:
            return "drawn at random"
        return f"beam {self.beam}" if self.beam > 1 else "greedy search"

    @field_validator("sample")
    @classmethod
    def _sample_or_beam(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("beam", 1) > 1:
            raise _error("false where beam is over 1 (it is {beam})", info)
        return value

    @field_validator("n_best")
    @classmethod
    def _n_best_in_beam(cls, value: int, info: ValidationInfo) -> int:
        if not info.data.get("sample") and value > info.data.get("beam", value):
            raise _error("at most beam, which is {beam}", info)
        return value

    @field_validator("length_ratio")
    @classmethod
    def _ratio_of_prior(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and not info.data.get("length_prior", 1):
            raise _error("none without length_prior", info)
        return value

    @field_validator("max_length")
    @classmethod
    def _max_over_min(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and value < info.data.get("min_length", 0):
            raise _error("at least min_length, which is {min_length}", info)
        return value

    @field_validator("temperature", "top_k", "top_p", "seed")
    @classmethod
    def _drawn(cls, value: float, info: ValidationInfo) -> float:
        assert info.field_name is not None
        default = cls.model_fields[info.field_name].default
        if value != default and not info.data.get("sample", True):
            raise _error(f"the default, {default}, without sample = true", info)
        return value

    @field_validator("diverse_groups")
    @classmethod
    def _groups_of_beam(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get("beam", 0) % value:
            raise _error("a divisor of beam, which is {beam}", info)
        return value

    @field_validator("diversity")
    @classmethod
    def _diverse(cls, value: float, info: ValidationInfo) -> float:
        default = cls.model_fields["diversity"].default
        if value != default and info.data.get("diverse_groups") == 1:
            raise _error(f"the default, {default}, without diverse_groups", info)
        return value

    @field_validator("constraints")
    @classmethod
    def _constrained_beam(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value and info.data.get("sample"):
            raise _error("none with sample = true", info)
        if value and info.data.get("diverse_groups", 1) > 1:
            raise _error("none with diverse_groups", info)
        return value

    @field_validator("mbr")
    @classmethod
    def _several_to_choose_from(cls, value: bool, info: ValidationInfo) -> bool:
        key = "n_best" if info.data.get("sample") else "beam"
        if value and info.data.get(key, 2) == 1:
            raise _error(f"false without {key} = 2 or more, to choose from", info)
        return value

    @field_validator("neighbors")
    @classmethod
    def _neighbors_choose(cls, value: int, info: ValidationInfo) -> int:
        if value and not info.data.get("mbr", True):
            raise _error("0 without mbr = true, which chooses among them", info)
        if value and (info.data.get("prefix") or info.data.get("constraints")):
            raise _error("0 with a prefix or constraints, which neighbors do not heed", info)
        return value


def _error(message: str, info: ValidationInfo) -> PydanticCustomError:
    return PydanticCustomError("decoding", message, dict(info.data))
