"""The request fields that several APIs share, and their types."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from server.api.common.hints import OBFUSCATION_HINT, PRIORITY_HINT, SPACES_HINT, WHO
from server.api.common.unsupported import UNSUPPORTED
from server.http.fields import STRICT, Label, TokenId
from server.http.warnings import Hint

INT64 = 2**63
UNLIMITED = -1  # as a number of tokens: what the context leaves


@dataclass(frozen=True)
class TokenLimit:
    """Annotates a number of tokens: `least` or more, or UNLIMITED."""

    least: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = {"type": "integer", "minimum": self.least, "exclusiveMaximum": INT64}
        return {"anyOf": [number, {"type": "integer", "const": UNLIMITED}]}

    def _check(self, value: int) -> int:
        if not self.least <= value < INT64 and value != UNLIMITED:
            told = "Input should be an integer, {least} or more and less than 2^63, or -1 for no limit"
            raise PydanticCustomError("out_of_range", told, {"least": self.least})
        return value


Temperature = Annotated[float, Field(ge=0, le=2)] | None
Probability = Annotated[float, Field(ge=0, le=1)] | None
Penalty = Annotated[float, Field(ge=-2, le=2)] | None
RepetitionPenalty = Annotated[float, Field(ge=0.01, le=10)] | None  # it divides logits
TokenCount = Annotated[int, TokenLimit(1)] | None
SequenceCount = Annotated[int, Field(ge=1, le=128)] | None
Seed = Annotated[int, Field(ge=-INT64, lt=INT64)] | None
StopString = Annotated[str, StringConstraints(min_length=1)]
MAX_STOPS = 64  # OpenAI: 4
Stop = StopString | Annotated[list[StopString], Field(max_length=MAX_STOPS)] | None
MAX_LOGIT_BIAS = 1024  # tokens
BiasText = Annotated[str, StringConstraints(min_length=1, max_length=200)]  # a token's number, or a text: all of its tokens
Bias = Annotated[float, Field(ge=-100, le=100)]
BiasPair = tuple[TokenId | BiasText, Bias | Literal[False]]  # llama.cpp's form; false: never
LogitBias = (
    Annotated[dict[BiasText, Bias], Field(max_length=MAX_LOGIT_BIAS)] | Annotated[list[BiasPair], Field(max_length=MAX_LOGIT_BIAS)] | None
)


class StreamOptions(BaseModel):
    model_config = STRICT
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None  # extension: the usage so far in each chunk
    include_obfuscation: Annotated[bool | None, OBFUSCATION_HINT] = None


class JsonSchemaFormat(BaseModel):
    model_config = STRICT
    name: Label | None = None  # OpenAI: required
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None  # what no grammar can enforce is refused, else left out


class FormatText(BaseModel):
    model_config = STRICT
    type: Literal["text"]


class FormatJsonObject(BaseModel):
    model_config = STRICT
    type: Literal["json_object"]
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")  # extension


class FormatJsonSchema(BaseModel):
    """`schema`: extension, as llama.cpp has it, instead of `json_schema`."""

    model_config = STRICT
    type: Literal["json_schema"]
    json_schema: JsonSchemaFormat | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")

    @model_validator(mode="after")
    def _expect_one_schema(self) -> Self:
        if (self.json_schema is None) == (self.schema_ is None):
            raise PydanticCustomError("missing", "the schema must be in json_schema.schema")
        return self


ResponseFormat = Annotated[FormatText | FormatJsonObject | FormatJsonSchema, Field(discriminator="type")]


GrammarText = Annotated[str, StringConstraints(min_length=1)]
StringList = Annotated[list[GrammarText], Field(min_length=1)]


class StructuredOutputs(BaseModel):
    """Extension: exactly one of json, regex, choice, grammar (GBNF or Lark) and json_object."""

    model_config = STRICT
    json_: dict[str, Any] | str | None = Field(default=None, alias="json")
    regex: GrammarText | None = None
    choice: StringList | None = None
    grammar: GrammarText | None = None
    json_object: bool | None = None
    disable_fallback: Annotated[bool | None, Hint("there is one compiler of grammars")] = None
    disable_any_whitespace: Annotated[bool | None, Hint("the model chooses its white space", silent=(False,))] = None
    whitespace_pattern: Annotated[str | None, UNSUPPORTED] = None
    structural_tag: Annotated[str | None, UNSUPPORTED] = None


class DenoisingFields(BaseModel):
    """How an answer is found by a model that denoises: engine.api.Denoising, in requests."""

    model_config = STRICT
    block_length: Annotated[int, Field(ge=1, le=4096)] | None = None
    steps: Annotated[int, Field(ge=1, le=4096)] | None = None  # for a block
    threshold: Probability = None
    order: Literal["confidence", "entropy", "margin", "random"] | None = None
    canvas_length: Annotated[int, Field(ge=1, le=65536)] | None = None


class SamplingFields(BaseModel):
    """How tokens are sampled: in chat completions, legacy completions and responses."""

    model_config = STRICT
    temperature: Temperature = None
    top_p: Probability = None
    # in part extensions, which parts depends on the API
    seed: Seed = None
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None  # 0 and -1: all tokens
    min_p: Probability = None
    repetition_penalty: RepetitionPenalty = None
    min_tokens: Annotated[int, Field(ge=0, lt=INT64)] | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=128)] | None = None
    bad_words: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=200)]], Field(max_length=128)] | None = None
    priority: Annotated[Annotated[int, Field(ge=-(2**31), lt=2**31)] | None, PRIORITY_HINT] = None  # a higher one runs later
    denoising: DenoisingFields | None = None
    speculative: bool | None = None  # false: no tokens are guessed ahead; the answer is the same


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
    user: Annotated[str | None, WHO] = None
    # extensions
    ignore_eos: bool | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None  # null: true
    spaces_between_special_tokens: Annotated[bool | None, SPACES_HINT] = None
    structured_outputs: StructuredOutputs | None = None
