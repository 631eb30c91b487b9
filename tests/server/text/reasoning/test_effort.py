"""What an effort or a budget becomes for each template."""

from typing import Any

import pytest

from server.text.reasoning.effort import LEVELS, ThoughtControls, UnknownEffort, nearest_level
from tests.server.text.reasoning.families import FAMILIES, tokenizer

ON, OFF = {"enable_thinking": True}, {"enable_thinking": False}
TAKES_NONE_AND_HIGH = ThoughtControls(thinks=True, levels=("none", "high"))


@pytest.mark.parametrize(
    ("name", "effort", "budget", "variables", "limit"),
    [
        ("qwen3", None, None, {}, None),
        ("qwen3", "none", None, OFF, 0),
        ("qwen3", "minimal", None, ON, None),
        ("qwen3", "max", None, ON, None),
        ("qwen3", "on", 300, ON, 300),
        ("qwen3", None, 0, OFF, 0),
        ("qwen3", None, 7, {}, 7),
        ("deepseek-v3.1", "high", None, ON, None),
        ("kimi-k2-thinking", "none", None, {"thinking": False}, 0),
        ("granite-3.2", "low", None, {"thinking": True}, None),
        ("deepseek-r1", "none", None, {}, 0),  # it always thinks: the engine sees to it
        ("deepseek-r1", "low", None, {}, None),
        ("gpt-oss", "none", None, {"reasoning_effort": "low"}, 0),
        ("gpt-oss", "minimal", None, {"reasoning_effort": "low"}, None),
        ("gpt-oss", "medium", 10, {"reasoning_effort": "medium"}, 10),
        ("gpt-oss", "xhigh", None, {"reasoning_effort": "high"}, None),
        ("gpt-oss", "on", None, {}, None),
        ("seed-oss", "none", None, {"thinking_budget": 0}, 0),
        ("seed-oss", "low", None, {"thinking_budget": 1024}, 1024),
        ("seed-oss", "high", 99, {"thinking_budget": 99}, 99),
        ("seed-oss", "max", None, {}, None),
    ],
)
def test_efforts_and_budgets_by_template(name: str, effort: str | None, budget: int | None, variables: Any, limit: int | None) -> None:
    plan = tokenizer(name).thought_controls.plan(effort, budget, {})
    assert (plan.variables, plan.budget) == (variables, limit)
    assert plan.heeded == (effort in (None, "none", "on") or bool(variables) or name == "seed-oss")


@pytest.mark.parametrize(
    ("given", "variables", "limit"),
    [
        ({"thinking_budget": 5}, {}, 5),
        ({"thinking_budget": -1}, {}, None),
        ({"thinking_budget": 0, "enable_thinking": True}, ON, 0),
        ({"enable_thinking": False}, OFF, None),
    ],
)
def test_variables_that_a_request_sets_itself_come_first(given: Any, variables: Any, limit: int | None) -> None:
    plan = tokenizer("qwen3").thought_controls.plan("high", None, given)
    assert (plan.variables, plan.budget) == ({**ON, **variables}, limit)


def test_levels_of_a_template_are_those_that_it_takes() -> None:
    assert [nearest_level(effort, ("none", "high")) for effort in LEVELS] == ["none", "none", "high", "high", "high", "high", "high"]
    assert [nearest_level(effort, ("low", "medium", "high")) for effort in LEVELS] == ["low"] * 3 + ["medium"] + ["high"] * 3
    assert TAKES_NONE_AND_HIGH.plan("none", None, {}).variables == {"reasoning_effort": "none"}


@pytest.mark.parametrize(
    ("name", "given"),
    [("gpt-oss", {"reasoning_effort": "a lot"}), ("qwen3", {"thinking_budget": "a lot"}), ("qwen3", {"thinking_budget": -2})],
)
def test_what_the_template_does_not_know_is_refused(name: str, given: Any) -> None:
    with pytest.raises(UnknownEffort) as caught:
        tokenizer(name).thought_controls.plan(None, None, given)
    assert caught.value.variable == next(iter(given))


def test_off_is_what_the_template_can() -> None:
    assert {name: dict(tokenizer(name).thought_controls.off) for name in ("qwen3", "deepseek-r1", "seed-oss")} == {
        "qwen3": OFF,
        "deepseek-r1": {},
        "seed-oss": {"thinking_budget": 0},
    }
    assert set(FAMILIES) == {name for name in FAMILIES if tokenizer(name).thought_controls.thinks}
