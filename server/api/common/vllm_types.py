"""Fields that vLLM's clients send to chat completions and legacy completions, besides those of the specification."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.common.generation_types import GrammarText, StringList
from server.api.common.unsupported import UNSUPPORTED
from server.http.fields import STRICT
from server.http.warnings import Hint

MAX_BEAMS = 16  # each has a place of its own in the engine
RequestId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]


class VllmFields(BaseModel):
    """guided_*: the older names of structured_outputs."""

    model_config = STRICT
    prompt_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None  # tokens of logprobs as token_id:ID
    truncate_prompt_tokens: Annotated[int, Field(ge=-1, lt=2**31)] | None = None  # the last so many are kept; -1: as many as fit
    request_id: RequestId | None = None  # the response's id ends with it
    guided_json: dict[str, Any] | str | None = None
    guided_regex: GrammarText | None = None
    guided_choice: StringList | None = None
    guided_grammar: GrammarText | None = None
    guided_decoding_backend: Annotated[str | None, Hint("there is one compiler of grammars")] = None
    guided_whitespace_pattern: Annotated[str | None, UNSUPPORTED] = None
    beam_width: Annotated[int, Field(ge=1, le=MAX_BEAMS)] | None = None  # extension; 1: none, whatever the checkpoint says
    use_beam_search: bool | None = None  # true: with beam_width; false: none
    early_stopping: bool | Literal["never"] | None = None
    length_penalty: Annotated[float, Field(ge=-10, le=10)] | None = None
    allowed_token_ids: Annotated[list[int] | None, UNSUPPORTED] = None
    documents: Annotated[list[dict[str, Any]] | None, UNSUPPORTED] = None
    chat_template: Annotated[str | None, UNSUPPORTED] = None  # templates are the operator's
    chat_template_content_format: Annotated[str | None, Hint("the chat template decides")] = None
    mm_processor_kwargs: Annotated[dict[str, Any] | None, UNSUPPORTED] = None
    kv_transfer_params: Annotated[dict[str, Any] | None, UNSUPPORTED] = None
    vllm_xargs: Annotated[dict[str, Any] | None, UNSUPPORTED] = None
