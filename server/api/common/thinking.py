"""What a chat completion says of the model's thoughts: `reasoning_effort` and its names in clients of other servers, `thinking` (DeepSeek,
GLM, Kimi), `reasoning` (OpenRouter), `enable_thinking` (Qwen) and `think` (Ollama); `thinking_token_budget` (vLLM), which two of these
may hold, too; and whether thoughts are sent."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from server.api.common.types import ReasoningEffort
from server.core.errors import bad_request
from server.http.fields import STRICT

Effort = ReasoningEffort | Literal["on"]  # on: however much the model likes
Budget = Annotated[int, Field(ge=-1, lt=2**31)] | None  # tokens; -1: no limit


class ThinkingSwitch(BaseModel):
    model_config = STRICT
    type: Literal["enabled", "disabled", "auto", "adaptive"]
    budget_tokens: Budget = None


class ReasoningChoice(BaseModel):
    model_config = STRICT
    effort: ReasoningEffort | None = None
    enabled: bool | None = None
    max_tokens: Budget = None
    exclude: bool | None = None  # thoughts are not sent


class ThinkingFields(BaseModel):
    model_config = STRICT
    reasoning_effort: ReasoningEffort | None = None
    reasoning: ReasoningChoice | None = None
    thinking: ThinkingSwitch | None = None
    enable_thinking: bool | None = None
    think: bool | Literal["low", "medium", "high"] | None = None
    thinking_token_budget: Budget = None  # of one turn of the model
    include_reasoning: bool | None = None  # null: true


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
    return given[field], field


def to_budget(body: ThinkingFields) -> tuple[int | None, str]:
    """Tokens of thoughts, and the field that says so. Raises ApiError where two fields say something different."""
    given = {
        "thinking_token_budget": body.thinking_token_budget,
        "thinking.budget_tokens": body.thinking.budget_tokens if body.thinking else None,
        "reasoning.max_tokens": body.reasoning.max_tokens if body.reasoning else None,
    }
    found = {field: budget for field, budget in given.items() if budget is not None}
    if len(set(found.values())) > 1:
        first, second = list(found)[:2]
        raise bad_request(second, f"{second}: {first} says something different; send one")
    return next(((budget, field) for field, budget in found.items()), (None, "thinking_token_budget"))


def shows_reasoning(body: ThinkingFields) -> bool:
    return body.include_reasoning is not False and not (body.reasoning and body.reasoning.exclude)


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
