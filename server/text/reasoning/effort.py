"""What a chat template lets a request say about thoughts, and what becomes of an effort or a budget: variables of the template, and a
limit that the engine keeps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server.text.reasoning.api import ReasoningFormat
from server.text.reasoning.harmony import Channels

ON = "on"  # however much the model likes
LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")  # OpenAI's
EFFORT, BUDGET = "reasoning_effort", "thinking_budget"
TOGGLES = ("enable_thinking", "thinking")
CHANNEL_LEVELS = ("low", "medium", "high")  # that gpt-oss was trained on; its template writes any word
BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 4096, "high": 8192, "xhigh": 16384, "max": None}  # Seed-OSS's steps

Render = Callable[[Mapping[str, Any]], str | None]  # with these variables; None: refused


class UnknownEffort(ValueError):
    """The template knows no such value of the `variable`."""

    def __init__(self, variable: str, message: str) -> None:
        super().__init__(message)
        self.variable = variable


@dataclass(frozen=True, slots=True)
class ThoughtPlan:
    """`budget`: tokens; None: no limit. `heeded`: the model does what the request's effort asks for."""

    variables: Mapping[str, Any]
    budget: int | None
    heeded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtControls:
    """What the template takes. `thinks`: the model does. `levels` (): no effort. `toggle` None: nothing switches thoughts on and off."""

    thinks: bool = False
    levels: tuple[str, ...] = ()
    toggle: str | None = None
    takes_budget: bool = False

    @property
    def off(self) -> Mapping[str, Any]:
        """Variables that switch thoughts off, as far as the template can."""
        return self.plan("none", None, {}).variables

    def plan(self, effort: str | None, budget: int | None, given: Mapping[str, Any]) -> ThoughtPlan:
        """`given`: variables that the request sets itself, which come first. Raises UnknownEffort."""
        self._check(given)
        own = given.get(BUDGET)
        if budget is None and isinstance(own, int):
            budget = own if own >= 0 else None
        if budget == 0:
            effort = "none"
        variables, limit = self._of_effort(effort)
        limit = 0 if effort == "none" else budget if budget is not None else limit
        if self.takes_budget and limit is not None:
            variables[BUDGET] = limit
        kept = {name: value for name, value in given.items() if name != BUDGET or self.takes_budget}
        heeded = effort in (None, "none") or (self.thinks and (effort == ON or self.takes_budget or bool(variables)))
        return ThoughtPlan({**variables, **kept}, limit, heeded)

    def _of_effort(self, effort: str | None) -> tuple[dict[str, Any], int | None]:
        if effort is None:
            return {}, None
        off = effort == "none"
        variables: dict[str, Any] = {} if self.toggle is None else {self.toggle: not off}
        if effort == ON:
            return variables, None
        if self.levels:
            variables[EFFORT] = nearest_level(effort, self.levels)
        return variables, BUDGETS[effort] if off or self.takes_budget else None

    def _check(self, given: Mapping[str, Any]) -> None:
        level = given.get(EFFORT)
        if level is not None and self.levels and level not in self.levels:
            raise UnknownEffort(EFFORT, f"this model's efforts are {', '.join(self.levels)}")
        budget = given.get(BUDGET)
        if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < -1):
            raise UnknownEffort(BUDGET, "a budget is a number of tokens, or -1 for no limit")


def nearest_level(effort: str, levels: tuple[str, ...]) -> str:
    """The level itself, else the nearest; of two the higher."""
    at = LEVELS.index(effort)
    return min(levels, key=lambda level: (abs(LEVELS.index(level) - at), -LEVELS.index(level)))


def probe_controls(variables: frozenset[str], format: ReasoningFormat | None, render: Render) -> ThoughtControls:
    """`variables`: that the template reads."""
    if format is None:
        return ThoughtControls()
    asked = () if EFFORT not in variables else CHANNEL_LEVELS if isinstance(format, Channels) else LEVELS
    return ThoughtControls(
        thinks=True,
        levels=tuple(level for level in asked if render({EFFORT: level}) is not None),
        toggle=next((name for name in TOGGLES if name in variables), None),
        takes_budget=BUDGET in variables,
    )
