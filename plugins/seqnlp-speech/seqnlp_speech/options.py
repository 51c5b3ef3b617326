"""The table `head` of a recipe for speech."""

from __future__ import annotations

from typing import Literal

from pydantic import Field as Limit

from seqnlp.config import Section, Settings, validate_section


class FeatureOptions(Section):
    """From samples to frames."""

    rate: int = Limit(default=16_000, ge=2000, le=192_000)
    """Samples a second; sound of another rate is resampled."""
    bands: int = Limit(default=40, ge=1, le=512)
    """Bands of the mel scale."""
    window_ms: float = Limit(default=25.0, gt=0, le=1000)
    hop_ms: float = Limit(default=10.0, gt=0, le=1000)
    low: float = Limit(default=20.0, ge=0)
    """Where the bands begin, in Hz."""
    high: float | None = None
    """Where they end; half the rate by default."""
    normalization: Literal["running", "utterance", "train", "none"] = "utterance"
    """By mean and deviation of the utterance, of what was heard of it so far, or of train."""
    deltas: int = Limit(default=0, ge=0, le=2)
    """1 adds how each frame changes, 2 also how that changes."""
    stack: int = Limit(default=3, ge=1, le=64)
    """Frames that the encoder sees side by side."""
    stride: int = Limit(default=3, ge=1, le=64)
    """Of how many frames one is a step of the encoder."""
    cache: bool = True
    """Keep the frames of a corpus on disk, in the user's cache, for the next epoch."""


class AugmentOptions(Section):
    """SpecAugment: stripes of a training utterance that are blanked out; 0 stripes is without."""

    bands: int = Limit(default=2, ge=0)
    """Stripes over the bands."""
    band_width: int = Limit(default=8, ge=0)
    """The most bands of a stripe."""
    times: int = Limit(default=2, ge=0)
    """Stripes over time."""
    time_width: int = Limit(default=20, ge=0)
    """The most frames of a stripe."""
    time_share: float = Limit(default=0.2, ge=0, le=1)
    """The most of the utterance that a stripe takes."""


class SearchOptions(Section):
    """How the text is found in the probabilities of the steps."""

    method: Literal["greedy", "beam"] = "greedy"
    beam_size: int = Limit(default=16, ge=1, le=10_000)
    """Prefixes that are kept at each step."""
    lm_weight: float = Limit(default=0.0, ge=0)
    """Weight of the language model's log-probabilities; 0 is without."""
    symbol_bonus: float = 0.0
    """Added for each symbol, since a language model likes texts short."""
    n_best: int = Limit(default=1, ge=1)
    """Texts that `predict` gives in its JSON, with a beam."""


class SpeechOptions(Section):
    """The table `head` of a recipe."""

    symbols: Literal["characters", "words"] = "characters"
    """What a text is made of."""
    features: FeatureOptions = FeatureOptions()
    augment: AugmentOptions = AugmentOptions()
    search: SearchOptions = SearchOptions()
    lm_order: int = Limit(default=4, ge=0, le=10)
    """Symbols of the n-grams that the language model counts in train; 0 leaves it out."""


def options_of(settings: Settings) -> SpeechOptions:
    """The validated table `head`.

    Raises:
        SettingsError: an unknown key or a value of the wrong type.
    """
    return validate_section(SpeechOptions, settings.head, "head")
