"""What the request types share. Shapes only: no behaviour beyond saying what fits.

Every field of OpenAI's specification is here or is refused as unknown; one that this server does not do (`Refused`) takes
nothing but null. Fields marked as extensions are ours.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)
INT64 = 2**63


def _only(harmless: object) -> BeforeValidator:
    """Takes null and `harmless`, the value that asks for nothing."""

    def check(value: Any) -> None:
        if value is not None and (type(value) is not type(harmless) or value != harmless):
            raise PydanticCustomError("unsupported", "This server does not support this field; leave it out")

    return BeforeValidator(check)


def _shape(*alternatives: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [*alternatives, {"type": "null"}], "description": "Not supported."})


Refused = Annotated[None, _only(None), _shape()]
Empty = Annotated[None, _only([]), _shape({"type": "array", "maxItems": 0})]
Off = Annotated[None, _only(False), _shape({"const": False})]


def _absent(value: object) -> bool:
    return value is None


OMITTED = Field(exclude_if=_absent)  # in answers: what is not there is left out, as the specification has no null for it

Temperature = Annotated[float, Field(ge=0, le=2)] | None
Probability = Annotated[float, Field(ge=0, le=1)] | None
Penalty = Annotated[float, Field(ge=-2, le=2)] | None
Repetition = Annotated[float, Field(ge=0.01, le=10)] | None  # it divides logits
Count = Annotated[int, Field(ge=1, lt=INT64)] | None
Choices = Annotated[int, Field(ge=1, le=128)] | None
Seed = Annotated[int, Field(ge=-INT64, lt=INT64)] | None
StopString = Annotated[str, StringConstraints(min_length=1)]
Stop = StopString | Annotated[list[StopString], Field(min_length=1, max_length=4)] | None
TokenNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
LogitBias = dict[TokenNumber, Annotated[float, Field(ge=-100, le=100)]] | None
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Label = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class StreamOptions(BaseModel):
    model_config = STRICT
    include_usage: bool | None = None
    include_obfuscation: Off = None


class JsonSchemaFormat(BaseModel):
    model_config = STRICT
    name: Label
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None  # what no grammar can enforce is refused, else left out


class FormatText(BaseModel):
    model_config = STRICT
    type: Literal["text"]


class FormatJsonObject(BaseModel):
    model_config = STRICT
    type: Literal["json_object"]


class FormatJsonSchema(BaseModel):
    model_config = STRICT
    type: Literal["json_schema"]
    json_schema: JsonSchemaFormat


ResponseFormat = Annotated[FormatText | FormatJsonObject | FormatJsonSchema, Field(discriminator="type")]


class StructuredOutputs(BaseModel):
    """Extension: exactly one of them."""

    model_config = STRICT
    json_: dict[str, Any] | None = Field(default=None, alias="json")
    regex: Annotated[str, StringConstraints(min_length=1)] | None = None
    choice: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(min_length=1)] | None = None


class PromptDetails(BaseModel):
    cached_tokens: int
    cache_write_tokens: int = 0
    text_tokens: int
    image_tokens: int = 0
    audio_tokens: int = 0


class CompletionDetails(BaseModel):
    reasoning_tokens: int
    text_tokens: int
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    error: ErrorBody
