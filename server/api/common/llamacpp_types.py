"""Fields that clients of llama.cpp's server and of Ollama send to chat completions and legacy completions, besides those of the
specification. Samplers that this server does not have are accepted while they are switched off."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from server.api.common.generation_types import GrammarText, RepetitionPenalty, TokenCount
from server.api.common.unsupported import UNSUPPORTED, supports_only
from server.http.fields import STRICT
from server.http.warnings import Hint

OFF = supports_only(0)
SWITCHED_OFF = Hint("it belongs to a sampler that is not there")
SLOTS = Hint("sequences have no fixed slots")
Number = float | None


class LlamaCppFields(BaseModel):
    model_config = STRICT
    n_predict: TokenCount = None  # max_tokens
    repeat_penalty: RepetitionPenalty = None  # repetition_penalty
    repeat_last_n: Annotated[int | None, Hint("all tokens of prompt and answer are penalised", silent=(-1,))] = None
    grammar: GrammarText | None = None  # GBNF or Lark
    json_schema: dict[str, Any] | None = None
    timings_per_token: bool | None = None
    cache_prompt: Annotated[bool | None, Hint("prompt prefixes are always cached", silent=(True,))] = None
    id_slot: Annotated[int | None, SLOTS] = None
    n_keep: Annotated[int | None, Hint("a prompt is never cut inside a message")] = None
    n_discard: Annotated[int | None, SLOTS] = None
    samplers: Annotated[list[str] | str | None, Hint("the order of samplers is fixed")] = None
    min_keep: Annotated[int | None, SWITCHED_OFF] = None
    typical_p: Annotated[Number, supports_only(1)] = None
    tfs_z: Annotated[Number, supports_only(1)] = None
    top_n_sigma: Annotated[Number, supports_only(-1)] = None
    mirostat: Annotated[int | None, OFF] = None
    mirostat_tau: Annotated[Number, SWITCHED_OFF] = None
    mirostat_eta: Annotated[Number, SWITCHED_OFF] = None
    dynatemp_range: Annotated[Number, OFF] = None
    dynatemp_exponent: Annotated[Number, SWITCHED_OFF] = None
    xtc_probability: Annotated[Number, OFF] = None
    xtc_threshold: Annotated[Number, SWITCHED_OFF] = None
    dry_multiplier: Annotated[Number, OFF] = None
    dry_base: Annotated[Number, SWITCHED_OFF] = None
    dry_allowed_length: Annotated[int | None, SWITCHED_OFF] = None
    dry_penalty_last_n: Annotated[int | None, SWITCHED_OFF] = None
    dry_sequence_breakers: Annotated[list[str] | None, SWITCHED_OFF] = None
    t_max_predict_ms: Annotated[int | None, Hint("answers are limited in tokens, not in time")] = None
    reasoning_format: Annotated[str | None, Hint("thoughts are sent as reasoning_content", silent=("auto", "deepseek"))] = None
    parse_tool_calls: Annotated[bool | None, Hint("tool calls are always parsed", silent=(True,))] = None
    return_progress: Annotated[bool | None, Hint("progress of the prompt is not sent", silent=(False,))] = None
    post_sampling_probs: Annotated[bool | None, supports_only(False)] = None
    n_probs: Annotated[int | None, OFF] = None  # logprobs says the same
    lora: Annotated[list[Any] | None, UNSUPPORTED] = None
    # Ollama
    keep_alive: Annotated[str | float | None, Hint("the model stays loaded")] = None
    num_ctx: Annotated[Annotated[int, Field(ge=1)] | None, Hint("the context is the server's")] = None
