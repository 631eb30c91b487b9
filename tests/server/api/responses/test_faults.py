"""What becomes of responses when something goes wrong half-way: databases that fail, engines that stop, callers that cancel."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from server.api.responses.stored import background, event_log
from tests.server.api.responses.responses_world import HELLO, TEXT, URL, WEATHER, World, checked, events, kinds, replayed, said, world
from tests.server.api.responses.test_stored import slow, until
from tests.server.fake_host import FakeHost, tool
from tests.server.fakes import FakeEngine, ask, calling, client, turns

CUT_CALL = calling("weather", '{"city": "Rome"}')[:50]


def failing(method: Callable[..., Any], times: int) -> Callable[..., Any]:
    """The first calls find the database out of order."""
    left = iter(range(times))

    def call(*args: Any, **given: Any) -> Any:
        if next(left, None) is not None:
            raise OperationalError("a statement", {}, sqlite3.OperationalError("disk I/O error"))
        return method(*args, **given)

    return call


def stopping(words: str) -> World:
    """Its engine stops behind these words."""
    return world(engine=FakeEngine(lambda request: TEXT.encode(words, parse_special=True), context=2048))


def finished(it: World, *states: str, **given: Any) -> tuple[Any, list[Any]]:
    """A response in the background, and its events."""

    async def run() -> tuple[Any, list[Any]]:
        async with client(it.app) as http:
            id = (await http.post(URL, json={"input": HELLO, "background": True, **given})).json()["id"]
            done = await until(http, id, *states)
            return checked(done), events((await http.get(f"{URL}/{id}?stream=true")).text)

    return asyncio.run(run())


def test_a_lease_that_is_not_renewed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    it = slow("a " * 100 + "ten")
    monkeypatch.setattr(background, "LEASE_RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr(background, "LEASE_SECONDS", 0.5)
    assert it.archive is not None
    take, renew = it.archive.acquire_lease, failing(it.archive.acquire_lease, 2)
    first = iter([take])
    monkeypatch.setattr(it.archive, "acquire_lease", lambda *given: next(first, renew)(*given))
    done, told = finished(it, "completed", "failed")
    assert said(done).endswith("ten") and told[-1]["response"] == done


@pytest.mark.parametrize("times", [2, 1000])
def test_events_that_are_not_written_down(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    it = slow()
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)
    assert it.archive is not None
    monkeypatch.setattr(it.archive, "append_events", failing(it.archive.append_events, times))
    done, told = finished(it, "completed")
    assert said(done).endswith("ten")
    if times == 2:  # none is missing, none is there twice
        assert kinds(told)[:3] == ["created", "queued", "in_progress"] and said({"output": replayed(told)}) == said(done)


def test_a_write_whose_success_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    it = slow()
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)
    assert it.archive is not None
    append, lost = it.archive.append_events, failing(lambda: None, 1)
    monkeypatch.setattr(it.archive, "append_events", lambda *given: (append(*given), lost())[1])
    done, told = finished(it, "completed")
    assert said({"output": replayed(told)}) == said(done)


def test_an_end_that_is_not_written_down_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    it = slow()
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)
    assert it.archive is not None
    finish = it.archive.finish_response
    later = failing(finish, 2)
    monkeypatch.setattr(it.archive, "finish_response", lambda *given: (later if given[2] == "completed" else finish)(*given))
    assert said(finished(it, "completed")[0]).endswith("ten")


def test_an_end_that_is_never_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(event_log, "LEASE_SECONDS", 0.05)

    async def never() -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        asyncio.run(event_log.retry_write(never))


def test_a_cancelled_response_keeps_what_it_has_come_to() -> None:
    it = slow("one two three " * 100)

    async def run() -> None:
        async with client(it.app) as http:
            id = (await http.post(URL, json={"input": HELLO, "background": True})).json()["id"]
            while not it.engine.running:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)
            answers = await asyncio.gather(*(http.post(f"{URL}/{id}/cancel") for _ in range(2)))
            first, second = (checked(answer.json()) for answer in answers)
            assert first == second == (await http.get(f"{URL}/{id}")).json()
            (message,) = first["output"]
            assert first["status"] == "cancelled" and message["status"] == "incomplete" and said(first).startswith("one two")
            told = events((await http.get(f"{URL}/{id}?stream=true")).text)
            assert replayed(told) == [{**told[3]["item"], "content": message["content"]}] and told[-2]["item"] == message
            assert told[-1]["type"] == "response.incomplete" and told[-1]["response"] == first
            await _goes_on(http, id)

    asyncio.run(run())


async def _goes_on(http: httpx.AsyncClient, id: str) -> None:
    answer = await http.post(URL, json={"input": "More", "previous_response_id": id, "max_output_tokens": 16})
    assert answer.status_code == 200, answer.text


def test_a_response_of_another_process_is_cancelled_with_what_it_has_told() -> None:
    it = world()
    assert it.archive is not None
    made = it.post(input=HELLO)
    stored = it.archive.response("", made["id"])
    id = "resp_" + "0" * 48
    body = {**stored.body, "id": id, "status": "in_progress", "background": True, "output": []}
    it.archive.put_response(replace(stored, id=id, status="in_progress", background=True, body=body))
    (message,) = stored.body["output"]
    done = event_log.event_json(0, {"type": "response.output_item.done", "output_index": 0, "item": message})
    it.archive.append_events(id, 0, [done])
    cancelled = it.ask("POST", f"/{id}/cancel")
    assert cancelled["status"] == "cancelled" and cancelled["output"] == made["output"]
    it.archive.append_events(id, 1, [event_log.event_json(1, {"type": "response.in_progress"})])  # the other has not noticed yet
    told = events(ask(it.app, "GET", f"{URL}/{id}?stream=true").text)
    assert kinds(told) == ["output_item.done", "incomplete"] and told[-1]["response"] == cancelled


def test_one_that_is_cancelled_before_anything_is_done_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    it = world()
    assert it.archive is not None
    monkeypatch.setattr(it.archive, "acquire_lease", failing(it.archive.acquire_lease, 1000))
    monkeypatch.setattr(event_log, "RETRY_SECONDS", 0.01)

    async def run() -> None:
        async with client(it.app) as http:
            id = (await http.post(URL, json={"input": HELLO, "background": True})).json()["id"]
            cancelled = checked((await http.post(f"{URL}/{id}/cancel")).json())
            told = events((await http.get(f"{URL}/{id}?stream=true")).text)
            assert kinds(told) == ["created", "queued", "incomplete"] and told[-1]["response"] == cancelled
            assert cancelled["status"] == "cancelled" and cancelled["output"] == []

    asyncio.run(run())


@pytest.mark.parametrize("where", ["stream", "background"])
@pytest.mark.parametrize("words", ["So: one two", CUT_CALL])
def test_a_failed_response_holds_nothing_half_made(where: str, words: str) -> None:
    it = stopping(words)
    given: dict[str, Any] = {"tools": [WEATHER]}
    told = it.stream(input=HELLO, **given) if where == "stream" else finished(it, "failed", **given)[1]
    failed = checked(told[-1]["response"])
    (item,) = failed["output"]
    assert failed["status"] == "failed" and item["status"] == "incomplete" and kinds(told)[-2:] == ["output_item.done", "failed"]
    made = replayed(told)[0]
    assert (made.get("content"), made.get("arguments")) == (item.get("content"), item.get("arguments"))
    it.engine.script = turns(TEXT, "Yes.")
    assert said(it.post(input="More", previous_response_id=failed["id"])) == "Yes."
    assert it.post(input=[*failed["output"], {"role": "user", "content": "More"}])["status"] == "completed"


def test_a_call_that_was_cut_off_has_no_output() -> None:
    cut = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"ci', "status": "incomplete"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "x"}
    error = world().post(input=[cut, output], status=400)
    assert error["param"] == "input.1.call_id" and "cut off" in error["message"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_conversation_that_is_deleted_meanwhile(stream: bool) -> None:
    it = slow()
    archive = it.archive
    assert archive is not None
    id = archive.create_conversation("", {}, []).id

    async def run() -> httpx.Response:
        async with client(it.app) as http:
            work = asyncio.create_task(http.post(URL, json={"input": HELLO, "conversation": id, "stream": stream}))
            while not it.engine.running:
                await asyncio.sleep(0.005)
            archive.delete_conversation("", id)
            return await work

    answer = asyncio.run(run())
    assert answer.status_code == 200, answer.text
    body = events(answer.text)[-1]["response"] if stream else answer.json()
    assert body["status"] == "completed" and it.ask("GET", f"/{body['id']}") == body


def test_a_conversation_grows_with_what_is_not_stored() -> None:
    it = world("Hi.", "Bob.")
    assert it.archive is not None
    id = it.archive.create_conversation("", {}, []).id
    first = it.post(input="I am Bob.", conversation=id, store=False)
    assert it.ask("GET", f"/{first['id']}", status=404)
    it.post(input="Who am I?", conversation=id, store=False)
    assert [item["role"] for item in it.archive.all_items("", id)] == ["user", "assistant"] * 2 and "I am Bob." in it.prompts[1]


def test_a_tool_that_was_running_when_it_was_cancelled() -> None:
    async def sleep(arguments: Any) -> str:
        await asyncio.sleep(60)
        return "never"

    host = FakeHost({"loud": (tool("shout"),)}, acts={"shout": sleep})
    it = world(calling("loud__shout", '{"word": "hey"}'), "Well.", parts={"tool_host": host})

    async def run() -> Any:
        async with client(it.app) as http:
            tools = [{"type": "mcp", "server_label": "loud"}]
            id = (await http.post(URL, json={"input": HELLO, "background": True, "tools": tools})).json()["id"]
            while not host.running:
                await asyncio.sleep(0.005)
            cancelled = checked((await http.post(f"{URL}/{id}/cancel")).json())
            await _goes_on(http, id)
            return cancelled["output"][-1]

    call = asyncio.run(run())
    assert host.cancelled == 1 and (call["type"], call["status"], call["output"]) == ("mcp_call", "incomplete", None)
    assert call["error"]["message"] in it.prompts[-1]
