"""What travels: requests, answers and errors, as the OpenAPI document has them."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

Phrase = Annotated[str, StringConstraints(min_length=1, max_length=200)]


_MOST_KEYS = 100


class Section(BaseModel):
    """Keys of which none is unknown."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _few(cls, value: object) -> object:
        """What is enough to complain of: a body has room for a hundred thousand wrong keys."""
        if isinstance(value, dict) and len(value) > _MOST_KEYS:
            return dict(islice(value.items(), _MOST_KEYS))
        return value


class Options(Section):
    """How outputs are searched for, in place of what the model's settings say."""

    beam: int = Field(default=1, ge=1, le=32, description="Hypotheses kept at each step.")
    n_best: int = Field(default=1, ge=1, le=32, description="Hypotheses given for each text.")
    length_penalty: float = Field(default=1.0, ge=0, le=10)
    coverage_penalty: float = Field(default=0.0, ge=0, le=100)
    length_prior: float = Field(default=0.0, ge=0, le=1000)
    min_length: int = Field(default=0, ge=0, le=1000, description="Tokens at the least.")
    max_length: int = Field(default=100, ge=1, le=1000, description="Tokens at the most.")
    max_words: int = Field(default=100, ge=1, le=1000, description="Words at the most.")
    no_repeat_ngram: int = Field(default=0, ge=0, le=100)
    sample: bool = Field(default=False, description="Draw the outputs instead of searching.")
    temperature: float = Field(default=1.0, gt=0, le=1000)
    top_k: int = Field(default=0, ge=0, le=1_000_000)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    mbr: bool = Field(default=False, description="Give what is most like all that was found.")
    prefix: str = Field(default="", max_length=1000, description="What every output begins with.")
    constraints: list[Phrase] = Field(
        default_factory=list, max_length=8, description="Phrases that must occur."
    )
    sentences: int = Field(default=3, ge=1, le=1000, description="Of an extract.")


class Request(Section):
    """How texts are to be answered."""

    options: Options = Field(default_factory=Options, description="For tasks that write texts.")
    explain: bool = Field(default=False, description="Give the weights of attention, too.")

    def asked(self) -> list[str]:
        """The texts."""
        raise NotImplementedError

    def chosen(self) -> dict[str, Any]:
        """The options that were given."""
        if "options" not in self.model_fields_set:
            return {}
        return self.options.model_dump(exclude_unset=True)


class PredictRequest(Request):
    """One text or several, and how they are to be answered."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["text"]}, {"required": ["texts"]}]},
    )

    text: str = Field(default="", description="One text.", examples=["a fine film"])
    # Half a million complaints about one list would hold up everybody.
    texts: Annotated[list[str], FailFast()] = Field(
        default_factory=list, description="Several texts."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> PredictRequest:
        if ("text" in self.model_fields_set) == ("texts" in self.model_fields_set):
            raise PydanticCustomError("one_of_two", "give either text or texts")
        return self

    def asked(self) -> list[str]:
        return [self.text] if "text" in self.model_fields_set else self.texts


class StreamRequest(Request):
    """A text, and how it is to be answered."""

    text: str = Field(description="One text.", examples=["a fine film"])

    def asked(self) -> list[str]:
        return [self.text]


class HypothesisRecord(BaseModel):
    """An output that was found."""

    text: str
    score: float | None
    log_probability: float | None
    tokens: list[str]
    attention: list[list[float]] | None = Field(
        default=None, description="Of each token and the end: weights over the source tokens."
    )


class Words(BaseModel):
    """The attention of the best output, by whole words."""

    source: list[str]
    output: list[str]
    attention: list[list[float]] = Field(
        description="Of each word: weights over the source words, 1 less that of the end."
    )


class Answer(BaseModel):
    """What `seqnlp predict --format jsonl` gives: of labels the first three, of texts the rest."""

    model_config = ConfigDict(extra="allow")

    text: str
    label: str | None = None
    probabilities: dict[str, float] | None = None
    output: str | None = None
    source_tokens: list[str] | None = None
    hypotheses: list[HypothesisRecord] | None = None
    words: Words | None = Field(default=None, description="Where it is to be explained.")


class PredictResponse(BaseModel):
    """The answers to the texts, in their order."""

    model: str
    answers: list[Answer]


class ModelInfo(BaseModel):
    """What a model is."""

    name: str
    task: str
    labels: list[str] | None = Field(description="That it chooses among.")
    languages: list[str] = Field(description="From and to, where it says so.")
    generates: bool = Field(description="Whether it writes texts, and takes options.")
    options: dict[str, Any] = Field(description="How it decodes unless a request says otherwise.")
    parameters: int
    quantized: str | None
    figures: dict[str, Any] = Field(description="On its test split, or else on validation.")
    loaded_at: float = Field(description="Seconds since 1970.")


class ModelList(BaseModel):
    """All models of the service."""

    models: list[ModelInfo]


class Health(BaseModel):
    """How the service is."""

    status: str


class ErrorDetail(BaseModel):
    """What was wrong."""

    status: int
    code: str
    message: str


class ErrorBody(BaseModel):
    """Every answer but a good one."""

    error: ErrorDetail
