"""What keeps the loop from going on for ever."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from engine.api import Delta, Request
from server.chat import truncation, turn
from server.chat.loop import tighter_limits
from server.chat.tools import decisions
from server.chat.tools.budget import ToolBudget
from server.chat.tools.decisions import AllowedCall
from server.chat.tools.runner import ToolRunner, clip_output
from server.chat.tools.toolset import ServerTool
from server.core.errors import ApiError
from server.core.events import AnswerFinished, ToolCallFinished
from server.core.messages import Assistant, System, ToolCall, User
from server.core.request import ApprovalDecision, ApprovalPolicy
from server.core.tool_limits import ToolLimits
from tests.server.chat.test_loop import LOUD, TEXT, WHISPER, happened, of, read, said, wish, world
from tests.server.fake_host import FakeHost, tool
from tests.server.fakes import FakeEngine, calling, muted, runtime, tool_text, turns


def words(*all: str) -> list[str]:
    return [calling("loud__shout", f'{{"word": "{word}"}}') for word in all]


def test_after_the_last_turn_the_model_answers_without_tools() -> None:
    known, engine, host = world(*words("a", "b", "c"), "Enough.")
    events = happened(known, wish(limits=ToolLimits(max_turns=2)))
    assert len(host.calls) == 2 and len(engine.requests) == 3
    assert [muted(request) for request in engine.requests] == [False, False, True]
    assert of(events, AnswerFinished)[0].reason == "stop"


def test_calls_beyond_the_limit_are_answered_with_a_note() -> None:
    known, engine, host = world("".join(words("a", "b", "c")), "Enough.")
    events = happened(known, wish(limits=ToolLimits(max_calls=2)))
    assert [ran.outcome.text for ran in of(events, ToolCallFinished)][-1] == "C" or len(host.calls) == 2
    assert "the limit of 2 calls is reached" in read(engine)[1] and muted(engine.requests[1])
    assert said(events) == "Enough."


def test_the_operator_may_allow_more_than_the_defaults() -> None:
    most = ToolLimits().max_calls
    earlier = tuple(ToolCall(id=f"call_{i}", name="loud__shout", arguments=f'{{"word": "{i}"}}') for i in range(most))
    known, _, host = world(*words("c"), "Enough.", tool_limits=ToolLimits(max_calls=most + 1))
    happened(known, wish(earlier_calls=earlier))
    assert len(host.calls) == 1


def test_calls_of_earlier_requests_count() -> None:
    known, engine, host = world(*words("c"), "Enough.")
    earlier = tuple(ToolCall(id=f"call_{word}", name="loud__shout", arguments=f'{{"word": "{word}"}}') for word in "ab")
    happened(known, wish(limits=ToolLimits(max_calls=2), earlier_calls=earlier))
    assert not host.calls and "the limit of 2 calls is reached" in read(engine)[1]


def test_no_more_than_so_many_at_a_time() -> None:
    known, engine, host = world("".join(words("a", "b", "c")), "ok")
    happened(known, wish(limits=ToolLimits(max_parallel_calls=2)))
    assert [call[2]["word"] for call in host.calls] == ["a", "b"] and '"c"' not in read(engine)[1]
    assert not muted(engine.requests[1])  # it may go on with another turn
    assert engine.aborts == 1  # what it would have called besides was not waited for


def test_the_same_call_again_and_again_ends_the_loop() -> None:
    same = ['{"word": "a", "b": 1}', '{"b": 1, "word": "a"}', '{ "word":"a","b":1}']
    loose = {"type": "object", "properties": {"word": {"type": "string"}}}
    host = FakeHost({"loud": (tool("shout", input_schema=loose),)})
    known, engine, _ = world(*(calling("loud__shout", one) for one in same), "Enough.", host=host)
    events = happened(known, wish())
    assert len(host.calls) == 2 and len(engine.requests) == 4 and muted(engine.requests[3])
    assert "the same call has been made before" in read(engine)[3] and said(events).endswith("Enough.")


def test_time_is_limited_and_what_runs_is_cancelled() -> None:
    async def slow(arguments: Mapping[str, Any]) -> str:
        await asyncio.sleep(60)
        return ""

    host = FakeHost({"loud": (tool("shout"),)}, {"shout": slow})
    known, engine, _ = world(*words("a"), "Late.", host=host)
    events = happened(known, wish(limits=ToolLimits(max_seconds=0.05)))
    (ran,) = of(events, ToolCallFinished)
    assert ran.outcome.fault.kind == "timeout" and host.cancelled == 1 and host.running == 0
    assert muted(engine.requests[1]) and said(events).endswith("Late.")


def test_tokens_are_counted_over_all_turns() -> None:
    known, engine, _ = world(*words("a"), "Enough is enough is enough.")
    first = len(TEXT.encode(words("a")[0])) + 1
    events = happened(known, wish(max_tokens=first + 4))
    assert [request.sampling.max_tokens for request in engine.requests] == [first + 4, 4]
    assert of(events, AnswerFinished)[0].reason == "length" and of(events, AnswerFinished)[0].usage.completion == first + 4
    known, engine, host = world(*words("a"), "never said")
    events = happened(known, wish(max_tokens=first))
    assert of(events, AnswerFinished)[0].reason == "length" and len(host.calls) == 1 and len(engine.requests) == 1


def test_a_call_that_was_cut_off_is_not_made() -> None:
    known, _, host = world(*words("a"))
    events = happened(known, wish(max_tokens=len(TEXT.encode(words("a")[0])) - 12))
    assert of(events, AnswerFinished)[0].reason == "length" and not host.calls


async def _endless(arguments: Mapping[str, Any]) -> str:
    return "the beginning " + "and so on and on " * 2000 + "the end"


def test_long_outputs_lose_their_middle() -> None:
    host = FakeHost({"loud": (tool("shout"),)}, {"shout": _endless})
    known, engine, _ = world(*words("a"), "ok", host=host, context=100_000)
    (ran,) = of(happened(known, wish(limits=ToolLimits(max_output_tokens=100))), ToolCallFinished)
    assert ran.outcome.truncated and len(TEXT.encode(ran.outcome.text)) < 130
    second = read(engine)[1]
    assert "the beginning" in second and "the end" in second and "characters left out" in second


def test_a_full_context_shortens_outputs_and_then_ends() -> None:
    host = FakeHost({"loud": (tool("shout"),)}, {"shout": _endless})
    known, engine, _ = world(*words("a"), "ok", host=host, context=1500)
    events = happened(known, wish())
    assert said(events).endswith("ok") and len(engine.requests[1].tokens) < 1500
    many = [calling("loud__shout", f'{{"word": "{i} {"x " * 60}"}}') for i in range(12)]
    known, engine, _ = world(*many, host=host, context=1500)
    assert of(happened(known, wish(limits=ToolLimits(max_turns=20))), AnswerFinished)[0].reason == "length"


@pytest.mark.parametrize("most", [10, 100, 1000])
def test_clipped_texts_are_as_long_as_they_may_be(most: int) -> None:
    text, cut = clip_output(TEXT, "wörd 東京 " * 300, most)
    assert cut and most * 0.5 < len(TEXT.encode(text)) < most + 40
    assert clip_output(TEXT, "short", most) == ("short", False)


def test_the_tighter_limit_counts() -> None:
    assert tighter_limits(ToolLimits(max_turns=2, max_calls=9), ToolLimits(max_turns=5, max_calls=3)) == ToolLimits(
        max_turns=2, max_calls=3
    )
    known, engine, _ = world(*words("a", "b"), "ok", tool_limits=ToolLimits(max_turns=1))
    happened(known, wish(limits=ToolLimits(max_turns=5)))
    assert muted(engine.requests[1])


def test_old_messages_are_dropped_on_demand() -> None:
    talk = [User(text="first " * 300), Assistant(text="yes"), User(text="second"), Assistant(text="no"), User(text="third")]
    known, engine, _ = world("ok", context=400)
    happened(known, wish(messages=talk, mcp_servers=(), truncate=True))
    assert "first" not in read(engine)[0] and "second" in read(engine)[0] and "third" in read(engine)[0]


TALK = [said for i in range(200) for said in (User(text=f"question {i} " * 5), Assistant(text="yes"))]


def test_as_little_as_possible_is_dropped_in_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    rendered = turn.render_prompt

    async def count(*given: Any) -> Any:
        counted.append(len(given[2]))
        return await rendered(*given)

    monkeypatch.setattr(turn, "render_prompt", count)
    talk = [System(text="Be brief."), *TALK, User(text="last")]
    known, engine, _ = world("ok", context=1000)
    happened(known, wish(messages=talk, mcp_servers=(), truncate=True))
    prompt = read(engine)[0]
    kept = [i for i in range(200) if f"question {i} " in prompt]
    assert kept and kept == list(range(kept[0], 200)) and "Be brief." in prompt and "last" in prompt
    more = truncation.without_prefix(talk, 1 + 2 * (kept[0] - 1))
    with pytest.raises(ApiError):
        happened(world("ok", context=1000)[0], wish(messages=more, mcp_servers=()))
    assert len(counted) < 15 + 2  # of which two are of the check
    with pytest.raises(ApiError, match="context"):
        happened(world("ok", context=1000)[0], wish(messages=[User(text="long " * 2000)], mcp_servers=(), truncate=True))


def test_old_messages_give_way_to_server_tools() -> None:
    wide = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(20)}}
    host = FakeHost({"loud": (tool("shout", input_schema=wide),)}, {"shout": _endless})
    talk = [User(text="first " * 400), Assistant(text="yes"), User(text="last")]
    known, engine, _ = world("ok", context=100_000)
    happened(known, wish(messages=talk, mcp_servers=()))
    context = len(engine.requests[0].tokens) + 100  # by itself the conversation has room
    known, engine, _ = world(calling("loud__shout", "{}"), "ok", host=host, context=context)
    with pytest.raises(ApiError):
        happened(known, wish(messages=talk))
    events = happened(known, wish(messages=talk, truncate=True))
    assert said(events).endswith("ok") and len(host.calls) == 1
    for prompt in read(engine):
        assert "first" not in prompt and "last" in prompt
    assert "the beginning" in read(engine)[1]


def approved(*words: str) -> tuple[ApprovalDecision, ...]:
    return tuple(
        ApprovalDecision(
            approval_id=f"mcpr_{i}", server_label="loud", name="write", arguments=f'{{"word": "{word}"}}', approved=True, field="input.0"
        )
        for i, word in enumerate(words)
    )


def test_approved_calls_count_for_the_limits() -> None:
    known, engine, host = world("Enough.", tool_limits=ToolLimits(max_calls=2))
    events = happened(known, wish(approval_decisions=approved("a", "b", "c")))
    assert [call[2]["word"] for call in host.calls] == ["a", "b"] and muted(engine.requests[0])
    assert "the limit of 2 calls is reached" in of(events, ToolCallFinished)[-1].outcome.text
    known, _, host = world("Enough.")
    happened(known, wish(approval_decisions=approved("a"), limits=ToolLimits(max_calls=0)))
    assert not host.calls
    known, _, host = world("Enough.")
    events = happened(known, wish(approval_decisions=approved("a", "a", "a"), limits=ToolLimits(max_repeats=3)))
    assert len(host.calls) == 2 and "the same call" in {ran.outcome.text[9:22] for ran in of(events, ToolCallFinished)}


def test_large_arguments_are_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    mine: list[bool] = []
    reads = decisions.parse_arguments

    def watched(text: str, schema: Mapping[str, Any]) -> Any:
        mine.append(threading.current_thread() is threading.main_thread())
        return reads(text, schema)

    monkeypatch.setattr(decisions, "parse_arguments", watched)
    for size, at_once in ((9000, False), (9, True)):
        mine.clear()
        known, _, host = world("ok", context=100_000)
        happened(known, wish(approval_decisions=approved("a" * size)))
        assert set(mine) == {at_once} and len(host.calls) == 1


def test_a_server_tool_with_an_odd_schema_breaks_no_request() -> None:
    odd = {"type": "object", "required": ["a"], "properties": {"a": {"enum": []}}}
    host = FakeHost({"loud": (tool("odd", input_schema=odd), tool("shout"))})
    known, _, _ = world(*words("a"), "ok", host=host)
    assert said(happened(known, wish())) == "ok" and len(host.calls) == 1


def test_a_runner_that_is_closed_has_cancelled_its_calls() -> None:
    async def slow(arguments: Mapping[str, Any]) -> str:
        await asyncio.sleep(60)
        return ""

    host = FakeHost({"loud": (tool("shout"),)}, {"shout": slow})
    call = ToolCall(id="call_1", name="loud__shout", arguments="{}")
    go = AllowedCall(call, ServerTool(server_label="loud", definition=tool("shout"), policy=ApprovalPolicy()), {"word": "a"})

    async def close_while_running() -> None:
        async def act(arguments: Mapping[str, Any]) -> str:
            return "A"

        host.acts["quick"] = act
        quick = AllowedCall(
            replace(call, id="call_2"), ServerTool(server_label="loud", definition=tool("quick"), policy=ApprovalPolicy()), {"word": "a"}
        )
        running = ToolRunner(host, "me", TEXT, ToolBudget(ToolLimits(), untrusted_context=False)).run([go, quick])
        seen = [await anext(running) for _ in range(3)]
        assert isinstance(seen[-1], ToolCallFinished) and host.running == 1
        await running.aclose()
        assert host.running == 0 and host.cancelled == 1

    asyncio.run(close_while_running())


def test_no_call_can_begin_in_a_turn_without_tools() -> None:
    """Where calls begin with a token of their own."""
    learned = tool_text()
    engine = FakeEngine(turns(learned, "no"), context=4096)
    known = runtime(engine, learned, tool_host=FakeHost({"loud": (tool("shout"),)}))
    happened(known, wish(tool_choice="none"))
    happened(known, wish(tool_choice="auto"))
    begins = learned.special_token_id("<tool_call>")
    assert begins is not None
    first, second = (dict(request.sampling.logit_bias) for request in engine.requests)
    assert first[begins] == -100 and begins not in second


@pytest.mark.parametrize(("made", "run"), [("ab", "a"), ("a", "a")])
def test_a_call_that_goes_in_circles_is_left_out_unless_it_is_the_only_one(made: str, run: str) -> None:
    """The engine has brought it to its end: it says that this was for length, and there are tokens left."""
    known, engine, host = world("".join(words(*made)), "ok")
    engine.generate = closing(engine)
    events = happened(known, wish())
    assert [call[2]["word"] for call in host.calls] == list(run) and said(events) == "ok"


def test_a_clients_call_that_the_server_has_ended_says_so() -> None:
    """Also beside others, of the client or of the server: those are run, the last one is not."""
    known, engine, _ = world(calling("whisper", '{"word": "a"}'))
    engine.generate = closing(engine)
    events = happened(known, wish(tools=(WHISPER,), mcp_servers=()))
    assert of(events, AnswerFinished)[0].reason == "length" and not of(events, AnswerFinished)[0].context_full
    known, engine, host = world(calling("loud__shout", '{"word": "b"}') + calling("whisper", '{"word": "a"}'))
    engine.generate = closing(engine)
    events = happened(known, wish(tools=(WHISPER,)))
    assert of(events, AnswerFinished)[0].reason == "length" and [call[2]["word"] for call in host.calls] == ["b"]


def test_a_call_that_was_ended_is_not_run_where_it_may_write() -> None:
    known, engine, host = world(calling("loud__write", '{"word": "a"}'), "ok")
    engine.generate = closing(engine)
    events = happened(known, wish(mcp_servers=(replace(LOUD, approval_policy=ApprovalPolicy(default="never")),)))
    assert not host.calls and of(events, AnswerFinished)[0].reason == "length"


@pytest.mark.parametrize("name", ["whisper", "loud__shout"])
def test_a_call_whose_end_was_not_found_is_none(name: str) -> None:
    known, engine, host = world(f'<tool_call>\n{{"name": "{name}", "arguments": {{"word": "a@.-', "ok")
    engine.generate = closing(engine)
    events = happened(known, wish(tools=(WHISPER,)))
    assert of(events, AnswerFinished)[0].reason == "length" and not host.calls and len(engine.requests) == 1


def closing(engine: FakeEngine) -> Any:
    """Its `generate`, which says of the first answer that it was brought to its end."""
    generate = engine.generate

    async def closed(request: Request) -> AsyncGenerator[Delta]:
        async for delta in generate(request):
            yield replace(delta, finish="length") if delta.finish and len(engine.requests) == 1 else delta

    return closed
