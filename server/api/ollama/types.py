"""Wire types of Ollama's API (its docs/api.md). Options that only concern how Ollama runs a model are accepted without effect."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.api.common.generation_types import Penalty, Probability, Seed, StopString
from server.api.common.types import TokenLogprob
from server.api.common.unsupported import UNSUPPORTED, supports_only
from server.http.fields import OMIT_NONE, STRICT, Label
from server.http.warnings import Hint, WarningObject

KEEP_ALIVE = Hint("the model stays loaded")
Think = bool | Literal["low", "medium", "high"]
Format = Literal["json", ""] | dict[str, Any]  # a JSON Schema
ModelName = Annotated[str, Field(min_length=1)]  # also with a tag: NAME:latest


class Options(BaseModel):
    """Others have no effect, and are named in the warnings."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, frozen=True)
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    top_p: Probability = None
    min_p: Probability = None
    seed: Seed = None
    num_predict: int | None = None  # -1 and -2: to the end of the context
    num_ctx: Annotated[int, Field(ge=1)] | None = None
    stop: StopString | list[StopString] | None = None
    repeat_penalty: Annotated[float, Field(ge=0.01, le=10)] | None = None
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None


class Function(BaseModel):
    model_config = STRICT
    name: Label
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(BaseModel):
    model_config = STRICT
    type: Literal["function"] = "function"
    function: Function


class CalledFunction(BaseModel):
    model_config = STRICT
    name: str
    arguments: dict[str, Any] | str | None = None  # also as JSON text
    index: int | None = None


class ToolCall(BaseModel):
    model_config = STRICT
    function: CalledFunction
    id: str | None = None
    type: Literal["function"] | None = None


class Message(BaseModel):
    """`tool_name`, `tool_call_id`: of a tool's output; without them it belongs to the earliest call that has none."""

    model_config = STRICT
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None  # base64, of a user's message or a tool's output; they stand before its text
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    name: str | None = None  # older name of tool_name
    tool_call_id: str | None = None


class GenerationFields(BaseModel):
    """What chat and generate share."""

    model_config = STRICT
    model: ModelName
    format: Format | None = None
    options: Options | None = None
    stream: bool | None = None  # null: true
    think: Think | None = None
    keep_alive: Annotated[str | float | None, KEEP_ALIVE] = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    shift: Annotated[bool | None, Hint("an answer ends where the context does", silent=(False,))] = None


class OllamaChatRequest(GenerationFields):
    """An assistant's message at the end is continued."""

    messages: list[Message] | None = None  # none: the model is loaded, which it is
    truncate: bool | None = None  # null: true, the oldest messages are dropped where the context is too small
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None


class GenerateRequest(GenerationFields):
    """`raw`: the prompt is continued without the chat template. `suffix`: as raw, for models that can fill a gap."""

    prompt: str | None = None
    suffix: str | None = None
    truncate: Annotated[bool | None, Hint("a prompt is never cut inside a message", silent=(False,))] = None
    system: str | None = None
    raw: bool | None = None
    template: Annotated[str | None, supports_only("")] = None
    images: list[str] | None = None
    context: Annotated[list[int] | None, UNSUPPORTED] = None  # of an earlier answer; send messages to /api/chat


class EmbedRequest(BaseModel):
    model_config = STRICT
    model: ModelName
    input: str | list[str] = []
    truncate: bool | None = None  # null: true
    dimensions: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    options: Options | None = None
    keep_alive: Annotated[str | float | None, KEEP_ALIVE] = None


class EmbeddingRequest(BaseModel):
    """The older form of EmbedRequest."""

    model_config = STRICT
    model: ModelName
    prompt: str = ""
    options: Options | None = None
    keep_alive: Annotated[str | float | None, KEEP_ALIVE] = None


class ShowRequest(BaseModel):
    model_config = STRICT
    model: str | None = None
    name: str | None = None  # older name of `model`
    verbose: bool | None = None  # no effect: there is nothing more to show


class Counts(BaseModel):
    """Of the last line; only the reason where nothing was generated. Durations are nanoseconds."""

    done_reason: Literal["stop", "length", "load"]
    total_duration: Annotated[int | None, OMIT_NONE] = None
    load_duration: Annotated[int | None, OMIT_NONE] = None
    prompt_eval_count: Annotated[int | None, OMIT_NONE] = None
    prompt_eval_duration: Annotated[int | None, OMIT_NONE] = None
    eval_count: Annotated[int | None, OMIT_NONE] = None
    eval_duration: Annotated[int | None, OMIT_NONE] = None
    thinking_count: Annotated[int | None, OMIT_NONE] = None  # extension: tokens of thoughts among eval_count
    logprobs: Annotated[list[TokenLogprob] | None, OMIT_NONE] = None
    warnings: Annotated[list[WarningObject] | None, OMIT_NONE] = None  # extension


class OutputMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    thinking: Annotated[str | None, OMIT_NONE] = None
    tool_calls: Annotated[list[ToolCall] | None, OMIT_NONE] = None


class OllamaChatResponse(Counts):
    model: str
    created_at: str
    message: OutputMessage
    done: bool


class GenerateResponse(Counts):
    model: str
    created_at: str
    response: str
    thinking: Annotated[str | None, OMIT_NONE] = None
    done: bool


class EmbedResponse(BaseModel):
    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int = 0
    prompt_eval_count: int


class EmbeddingResponse(BaseModel):
    embedding: list[float]


class Details(BaseModel):
    parent_model: str = ""
    format: str = ""
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str = ""


class Model(BaseModel):
    name: str
    model: str
    modified_at: str
    size: int = 0  # not known
    digest: str
    details: Details


class ModelList(BaseModel):
    models: list[Model]


class ShowResponse(BaseModel):
    modelfile: str
    parameters: str
    template: str
    details: Details
    model_info: dict[str, Any]
    capabilities: list[Literal["completion", "tools", "thinking", "insert", "embedding", "vision"]]
    modified_at: str


class Version(BaseModel):
    version: str


class Error(BaseModel):
    error: str
