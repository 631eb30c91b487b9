"""Other names of `reasoning_effort`, which clients of other servers send to chat completions: `thinking` (DeepSeek, GLM, Kimi), `reasoning`
(OpenRouter), `enable_thinking` (Qwen), `think` (Ollama)."""

from typing import Annotated, Literal

from pydantic import BaseModel

from server.api.common.hints import THINKING_HINT
from server.api.common.types import ReasoningEffort
from server.core.errors import bad_request
from server.http.fields import STRICT
from server.http.warnings import Hint

Effort = ReasoningEffort | Literal["on"]  # on: however much the model likes


class ThinkingSwitch(BaseModel):
    model_config = STRICT
    type: Literal["enabled", "disabled", "auto", "adaptive"]
    budget_tokens: Annotated[int | None, THINKING_HINT] = None


class ReasoningChoice(BaseModel):
    model_config = STRICT
    effort: ReasoningEffort | None = None
    enabled: bool | None = None
    max_tokens: Annotated[int | None, THINKING_HINT] = None
    exclude: Annotated[bool | None, Hint("thoughts are always sent, apart from the answer", silent=(False,))] = None


class ThinkingFields(BaseModel):
    model_config = STRICT
    reasoning_effort: ReasoningEffort | None = None
    reasoning: ReasoningChoice | None = None
    thinking: ThinkingSwitch | None = None
    enable_thinking: bool | None = None
    think: bool | Literal["low", "medium", "high"] | None = None


def to_effort(body: ThinkingFields) -> tuple[str | None, str]:
    """The effort, None where nothing is said, and the field that says so: the first that is more than a switch. Raises ApiError where one
    field switches thoughts off and another does not."""
    given = {field: effort for field, effort in _efforts(body).items() if effort is not None}
    if not given:
        return None, "reasoning_effort"
    exact = [field for field, effort in given.items() if effort != "on"]
    field = (exact or [*given])[0]
    if opposite := [other for other, effort in given.items() if (effort == "none") != (given[field] == "none")]:
        raise bad_request(opposite[0], f"{opposite[0]}: {field} says something different; send one")
    return "medium" if given[field] == "on" else given[field], field


def _efforts(body: ThinkingFields) -> dict[str, Effort | None]:
    reasoning, thinking = body.reasoning or ReasoningChoice(), body.thinking
    kind = thinking.type if thinking else None
    return {
        "reasoning_effort": body.reasoning_effort,
        "reasoning": reasoning.effort or _switch(reasoning.enabled),
        "thinking": _switch(None if kind in (None, "auto", "adaptive") else kind == "enabled"),
        "enable_thinking": _switch(body.enable_thinking),
        "think": _switch(body.think) if isinstance(body.think, bool) or body.think is None else body.think,
    }


def _switch(on: bool | None) -> Effort | None:
    return None if on is None else "on" if on else "none"
