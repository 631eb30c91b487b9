"""Failures during a response: databases that fail, engines that stop, callers that cancel."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from retrieval.api import DatabaseFault
from server.api.responses.stored import background, event_log
from tests.server.api.responses.responses_client import (
    HELLO,
    TOKENIZER,
    URL,
    WEATHER,
    ApiClient,
    api_client,
    event_types,
    output_text,
    parse_events,
    replay,
    validated,
)
from tests.server.api.responses.test_stored import slow, wait_for_status
from tests.server.fakes import FakeEngine, ask, calling, client, turns

CUT_CALL = calling("weather", '{"city": "Rome"}')[:50]


def failing(method: Callable[..., Any], times: int) -> Callable[..., Any]:
    """The first calls raise a database error."""
    left = iter(range(times))

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(left, None) is not None:
            raise DatabaseFault("unreachable", "disk I/O error")
        return method(*args, **kwargs)

    return call


def with_stopping_engine(words: str) -> ApiClient:
    """Its engine stops after these words."""
    return api_client(engine=FakeEngine(lambda request: TOKENIZER.encode(words, parse_special=True), context=2048))


def run_in_background(api: ApiClient, *states: str, **body: Any) -> tuple[Any, list[Any]]:
    """Returns a background response that has reached one of the states, and its events."""

    async def run() -> tuple[Any, list[Any]]:
        async with client(api.app) as http:
            id = (await http.post(URL, json={"input": HELLO, "background": True, **body})).json()["id"]
            done = await wait_for_status(http, id, *states)
            return validated(done), parse_events((await http.get(f"{URL}/{id}?stream=true")).text)

    return asyncio.run(run())


def test_a_lease_that_is_not_renewed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    api = slow("a " * 100 + "ten")
    monkeypatch.setattr(background, "LEASE_RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr(background, "LEASE_SECONDS", 5.0)
    assert api.archive is not None
    take, renew = api.archive.acquire_lease, failing(api.archive.acquire_lease, 2)
    first = iter([take])
    monkeypatch.setattr(api.archive, "acquire_lease", lambda *args: next(first, renew)(*args))
    done, events = run_in_background(api, "completed", "failed")
    assert output_text(done).endswith("ten") and events[-1]["response"] == done


@pytest.mark.parametrize("times", [2, 1000])
def test_events_that_are_not_written_down(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    api = slow()
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)
    assert api.archive is not None
    monkeypatch.setattr(api.archive, "append_events", failing(api.archive.append_events, times))
    done, events = run_in_background(api, "completed")
    assert output_text(done).endswith("ten")
    if times == 2:  # none is missing, none is there twice
        assert event_types(events)[:3] == ["created", "queued", "in_progress"]
        assert output_text({"output": replay(events)}) == output_text(done)


def test_a_write_whose_success_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    api = slow()
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)
    assert api.archive is not None
    append, lost = api.archive.append_events, failing(lambda: None, 1)
    monkeypatch.setattr(api.archive, "append_events", lambda *args: (append(*args), lost())[0])
    done, events = run_in_background(api, "completed")
    assert output_text({"output": replay(events)}) == output_text(done)


def test_an_end_that_is_not_written_down_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    api = slow()
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)
    assert api.archive is not None
    finish = api.archive.finish_response
    later = failing(finish, 2)
    monkeypatch.setattr(api.archive, "finish_response", lambda *args: (later if args[2] == "completed" else finish)(*args))
    assert output_text(run_in_background(api, "completed")[0]).endswith("ten")


def test_an_end_that_is_never_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(event_log, "LEASE_SECONDS", 0.05)

    async def never() -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        asyncio.run(event_log.retry_write(never))


def test_a_cancelled_response_keeps_what_it_has_come_to() -> None:
    api = slow("one two three " * 100)

    async def run() -> None:
        async with client(api.app) as http:
            id = (await http.post(URL, json={"input": HELLO, "background": True})).json()["id"]
            while not api.engine.running:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)
            answers = await asyncio.gather(*(http.post(f"{URL}/{id}/cancel") for _ in range(2)))
            first, second = (validated(answer.json()) for answer in answers)
            assert first == second == (await http.get(f"{URL}/{id}")).json()
            (message,) = first["output"]
            assert first["status"] == "cancelled" and message["status"] == "incomplete" and output_text(first).startswith("one two")
            events = parse_events((await http.get(f"{URL}/{id}?stream=true")).text)
            assert replay(events) == [{**events[3]["item"], "content": message["content"]}] and events[-2]["item"] == message
            assert events[-1]["type"] == "response.incomplete" and events[-1]["response"] == first
            await _expect_continuable(http, id)

    asyncio.run(run())


async def _expect_continuable(http: httpx.AsyncClient, id: str) -> None:
    answer = await http.post(URL, json={"input": "More", "previous_response_id": id, "max_output_tokens": 16})
    assert answer.status_code == 200, answer.text


def test_a_response_of_another_process_is_cancelled_with_what_it_has_told() -> None:
    api = api_client()
    assert api.archive is not None
    made = api.post(input=HELLO)
    stored = api.archive.response("", made["id"])
    id = "resp_" + "0" * 48
    body = {**stored.body, "id": id, "status": "in_progress", "background": True, "output": []}
    api.archive.put_response(replace(stored, id=id, status="in_progress", background=True, body=body))
    (message,) = stored.body["output"]
    done = event_log.event_json(0, {"type": "response.output_item.done", "output_index": 0, "item": message})
    api.archive.append_events(id, 0, [done])
    cancelled = api.ask("POST", f"/{id}/cancel")
    assert cancelled["status"] == "cancelled" and cancelled["output"] == made["output"]
    late = [event_log.event_json(1, {"type": "response.in_progress"})]
    assert not api.archive.append_events(id, 1, late)  # by which the other notices
    events = parse_events(ask(api.app, "GET", f"{URL}/{id}?stream=true").text)
    assert event_types(events) == ["output_item.done", "incomplete"] and events[-1]["response"] == cancelled


@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_who_is_told_by_nobody_that_a_response_has_ended_notices(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """Another process ends it, before the lease is renewed."""
    api = slow("one two three " * 1000)
    assert api.archive is not None
    archive = api.archive
    monkeypatch.setattr(background, "LEASE_RENEWAL_SECONDS", 60.0)

    async def run() -> None:
        async with client(api.app) as http:
            id = (await http.post(URL, json={"input": HELLO, "background": True})).json()["id"]
            while not archive.events("", id, 5):
                await asyncio.sleep(0.01)
            if end == "cancel":
                assert archive.finish_response("", id, "cancelled", {**archive.response("", id).body, "status": "cancelled"})
            else:
                archive.delete_response("", id)
            async with asyncio.timeout(10):
                while api.engine.running:
                    await asyncio.sleep(0.01)

    asyncio.run(run())


def test_one_that_is_cancelled_before_anything_is_done_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    api = api_client()
    assert api.archive is not None
    monkeypatch.setattr(api.archive, "acquire_lease", failing(api.archive.acquire_lease, 1000))
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)

    async def run() -> None:
        async with client(api.app) as http:
            id = (await http.post(URL, json={"input": HELLO, "background": True})).json()["id"]
            cancelled = validated((await http.post(f"{URL}/{id}/cancel")).json())
            events = parse_events((await http.get(f"{URL}/{id}?stream=true")).text)
            assert event_types(events) == ["created", "queued", "incomplete"] and events[-1]["response"] == cancelled
            assert cancelled["status"] == "cancelled" and cancelled["output"] == []

    asyncio.run(run())


@pytest.mark.parametrize("where", ["stream", "background"])
@pytest.mark.parametrize("words", ["So: one two", CUT_CALL])
def test_a_failed_response_holds_nothing_half_made(where: str, words: str) -> None:
    api = with_stopping_engine(words)
    body: dict[str, Any] = {"tools": [WEATHER]}
    events = api.stream(input=HELLO, **body) if where == "stream" else run_in_background(api, "failed", **body)[1]
    failed = validated(events[-1]["response"])
    (item,) = failed["output"]
    assert failed["status"] == "failed" and item["status"] == "incomplete" and event_types(events)[-2:] == ["output_item.done", "failed"]
    made = replay(events)[0]
    assert (made.get("content"), made.get("arguments")) == (item.get("content"), item.get("arguments"))
    api.engine.script = turns(TOKENIZER, "Yes.")
    assert output_text(api.post(input="More", previous_response_id=failed["id"])) == "Yes."
    assert api.post(input=[*failed["output"], {"role": "user", "content": "More"}])["status"] == "completed"


@pytest.mark.parametrize("status", ["incomplete", "completed"])
@pytest.mark.parametrize("arguments", ['{"ci', "", "null", "[]", '"x"', '{"value": '])
def test_calls_with_any_arguments_have_outputs(arguments: str, status: str) -> None:
    """Models write such calls, or are cut off within one; clients send them back with what came of them."""
    call = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": arguments, "status": status}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "not valid"}
    client = api_client()
    client.post(input=[call, output, {"role": "user", "content": "Continue."}])
    assert "not valid" in client.prompts[0] and (arguments if arguments not in ("", "null") else "{}") in client.prompts[0]
    client.post(input=[call, {"role": "user", "content": "Never mind."}], status=200 if status == "incomplete" else 400)


def test_a_call_that_was_cut_off_is_answered_by_reference() -> None:
    begun = '<tool_call>\n{"name": "weather", "arguments": {"city": "Ro'
    client = api_client(begun, "ok")
    first = client.post(input="Hi", tools=[WEATHER], tool_choice="required", max_output_tokens=len(TOKENIZER.encode(begun)))
    [call] = first["output"]
    assert (first["status"], call["status"]) == ("incomplete", "incomplete")
    client.post(
        previous_response_id=first["id"],
        input=[{"type": "function_call_output", "call_id": call["call_id"], "output": "not valid"}],
    )
    assert call["arguments"] in client.prompts[-1] and "not valid" in client.prompts[-1]
