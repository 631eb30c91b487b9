"""The request fields that several APIs share, and their types."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.common.hints import OBFUSCATION_HINT
from server.http.fields import STRICT, Label

INT64 = 2**63

Temperature = Annotated[float, Field(ge=0, le=2)] | None
Probability = Annotated[float, Field(ge=0, le=1)] | None
Penalty = Annotated[float, Field(ge=-2, le=2)] | None
RepetitionPenalty = Annotated[float, Field(ge=0.01, le=10)] | None  # it divides logits
TokenCount = Annotated[int, Field(ge=1, lt=INT64)] | None
SequenceCount = Annotated[int, Field(ge=1, le=128)] | None
Seed = Annotated[int, Field(ge=-INT64, lt=INT64)] | None
StopString = Annotated[str, StringConstraints(min_length=1)]
Stop = StopString | Annotated[list[StopString], Field(min_length=1, max_length=4)] | None
TokenNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
LogitBias = dict[TokenNumber, Annotated[float, Field(ge=-100, le=100)]] | None


class StreamOptions(BaseModel):
    model_config = STRICT
    include_usage: bool | None = None
    include_obfuscation: Annotated[bool | None, OBFUSCATION_HINT] = None


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


class SamplingFields(BaseModel):
    """How tokens are sampled: in chat completions, legacy completions and responses."""

    model_config = STRICT
    temperature: Temperature = None
    top_p: Probability = None
    # in part extensions, which parts depends on the API
    seed: Seed = None
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    min_p: Probability = None
    repetition_penalty: RepetitionPenalty = None


class GenerationFields(BaseModel):
    """What the output must look like, and how it is sent: in chat completions and legacy completions."""

    model_config = STRICT
    model: str
    n: SequenceCount = None
    stop: Stop = None
    logit_bias: LogitBias = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None  # an extension in legacy completions
    user: str | None = None
    # extensions
    ignore_eos: bool | None = None
    structured_outputs: StructuredOutputs | None = None
