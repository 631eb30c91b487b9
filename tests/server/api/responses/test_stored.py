"""Stored responses: retrieval, chains, conversations, background."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import httpx
import pytest

from server.api.responses.stored import abandoned, background
from tests.server.api.responses.responses_client import (
    HELLO,
    TOKENIZER,
    URL,
    ApiClient,
    api_client,
    event_types,
    output_text,
    parse_events,
    validated,
)
from tests.server.fakes import FakeEngine, client, says

PAUSE = 0.01


def slow(words: str = "one two three four five six seven eight nine ten") -> ApiClient:
    return api_client(engine=FakeEngine(says(words, TOKENIZER), context=2048, pause=PAUSE))


async def wait_for_status(http: httpx.AsyncClient, id: str, *states: str) -> Any:
    deadline = time.monotonic() + 30
    while (body := (await http.get(f"{URL}/{id}")).json())["status"] not in states:
        assert time.monotonic() < deadline, body["status"]
        await asyncio.sleep(0.01)
    return body


def test_a_response_is_kept_as_it_was_sent() -> None:
    api = api_client()
    answer = api.post(input=[{"role": "user", "content": HELLO}, {"type": "message", "role": "developer", "content": "Be kind."}])
    assert api.ask("GET", f"/{answer['id']}") == answer
    streamed = api.stream(input=HELLO)[-1]["response"]
    assert api.ask("GET", f"/{streamed['id']}") == streamed
    assert api.ask("DELETE", f"/{answer['id']}") == {"id": answer["id"], "object": "response", "deleted": True}
    assert api.ask("GET", f"/{answer['id']}", status=404)["error"]["code"] == "response_not_found"
    assert api.ask("DELETE", f"/{answer['id']}", status=404)
    assert api.ask("GET", "/no.such", status=404)


def test_nothing_is_kept_that_shall_not_be() -> None:
    api = api_client()
    answer = api.post(input=HELLO, store=False)
    assert answer["store"] is False and api.ask("GET", f"/{answer['id']}", status=404)
    assert api.post(input=HELLO, previous_response_id=answer["id"], status=400)["code"] == "previous_response_not_found"


def test_input_items() -> None:
    api = api_client()
    items = [{"role": "user", "content": str(n)} for n in range(5)]
    id = api.post(input=items)["id"]
    page = api.ask("GET", f"/{id}/input_items?limit=2&order=asc")
    assert [item["content"][0]["text"] for item in page["data"]] == ["0", "1"] and page["has_more"] is True
    rest = api.ask("GET", f"/{id}/input_items?order=asc&after={page['last_id']}")
    assert [item["content"][0]["text"] for item in rest["data"]] == ["2", "3", "4"] and rest["has_more"] is False
    newest = api.ask("GET", f"/{id}/input_items?limit=1")["data"]
    assert newest == [{"id": rest["last_id"], "type": "message", "role": "user", "status": "completed", "content": newest[0]["content"]}]
    assert api.ask("GET", f"/{id}/input_items?after=msg_0", status=400)["error"]["param"] == "after"


def test_instructions_are_not_carried_over_but_the_rest_is() -> None:
    api = api_client("Hi.", "Bob.")
    first = api.post(input="I am Bob.", instructions="Be brief.")
    second = api.post(input="Who am I?", previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    assert "Be brief." in api.prompts[0] and "Be brief." not in api.prompts[1]
    assert all(words in api.prompts[1] for words in ("I am Bob.", "Hi.", "Who am I?"))
    third = api.post(previous_response_id=second["id"], input="Sure?")
    api.ask("DELETE", f"/{first['id']}")
    assert api.post(previous_response_id=third["id"], input="Again?", status=400)["code"] == "previous_response_not_found"


def test_an_item_by_its_id() -> None:
    api = api_client("Hi, Bob.", "Bob.")
    first = api.post(input="I am Bob.")
    (message,) = first["output"]
    asked = api.ask("GET", f"/{first['id']}/input_items")["data"][0]
    references = [{"type": "item_reference", "id": asked["id"]}, {"id": message["id"]}]
    second = api.post(input=[*references, {"role": "user", "content": "Who am I?"}])
    assert "I am Bob." in api.prompts[1] and "Hi, Bob." in api.prompts[1]
    kept = api.ask("GET", f"/{second['id']}/input_items?order=asc")["data"]
    assert kept[:2] == [asked, message] and len({item["id"] for item in kept}) == 3
    api.post(previous_response_id=first["id"], input=[*references, {"role": "user", "content": "Who am I?"}])
    assert api.engine.requests[2].tokens == api.engine.requests[1].tokens  # what is there already is not there twice


def test_a_conversation() -> None:
    api = api_client("Hi.", "Bob.", "Yes.")
    assert api.archive is not None
    id = api.archive.create_conversation("", {}, []).id
    first = api.post(input="I am Bob.", conversation=id)
    assert first["conversation"] == {"id": id}
    second = api.post(input="Who am I?", conversation={"id": id})
    items = api.archive.all_items("", id)
    assert [item["role"] for item in items] == ["user", "assistant", "user", "assistant"]
    assert "I am Bob." in api.prompts[1] and items[-1] == second["output"][0] | {"content": items[-1]["content"]}
    api.post(input="Sure?", previous_response_id=first["id"])  # the conversation as it was then
    assert "I am Bob." in api.prompts[2] and "Who am I?" not in api.prompts[2]
    assert len(api.archive.all_items("", id)) == 4


def test_a_failed_response_leaves_its_conversation_alone() -> None:
    api = api_client(engine=FakeEngine(lambda request: [], context=2048))
    assert api.archive is not None
    id = api.archive.create_conversation("", {}, []).id
    assert api.post(input=HELLO, conversation=id, status=503)["code"] == "engine_stopped"
    assert api.archive.all_items("", id) == []


def test_what_belongs_to_another() -> None:
    api = api_client(api_keys=("one", "two"))
    mine, theirs = ({"authorization": f"Bearer {key}"} for key in ("one", "two"))
    id = api.ask("POST", json={"model": "tiny", "input": HELLO}, headers=mine)["id"]
    assert api.ask("GET", f"/{id}", headers=mine)["id"] == id
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
        assert api.ask(method, f"/{id}{path}", headers=theirs, status=404)["error"]["code"] == "response_not_found"
    assert api.ask("POST", json={"input": HELLO, "previous_response_id": id}, headers=theirs, status=400)
    item = api.ask("GET", f"/{id}/input_items", headers=mine)["data"][0]["id"]
    assert api.ask("POST", json={"input": [{"type": "item_reference", "id": item}]}, headers=theirs, status=404)


def test_a_client_that_goes_away_leaves_nothing_behind() -> None:
    api = slow("a " * 400)
    assert api.archive is not None
    conversation = api.archive.create_conversation("", {}, []).id

    async def run() -> None:
        async with client(api.app) as http:
            work = asyncio.create_task(http.post(URL, json={"input": HELLO, "stream": True, "conversation": conversation}))
            while not api.engine.running:
                await asyncio.sleep(0.005)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            while api.engine.running:
                await asyncio.sleep(0.005)

    asyncio.run(run())
    assert api.engine.aborts == 1 and api.archive.all_items("", conversation) == []


def test_in_the_background() -> None:
    api = slow()

    async def run() -> None:
        async with client(api.app) as http:
            queued = (await http.post(URL, json={"input": HELLO, "background": True})).json()
            assert validated(queued)["status"] == "queued" and queued["background"] is True
            done = validated(await wait_for_status(http, queued["id"], "completed"))
            assert output_text(done).startswith("one two three") and done["id"] == queued["id"]
            events = parse_events((await http.get(f"{URL}/{done['id']}?stream=true")).text)
            assert event_types(events)[:4] == ["created", "queued", "in_progress", "output_item.added"]
            assert events[-1]["type"] == "response.completed" and events[-1]["response"] == done
            rest = parse_events((await http.get(f"{URL}/{done['id']}?stream=true&starting_after=3")).text)
            assert rest == events[4:]
            end = events[-1]["sequence_number"]
            assert (await http.get(f"{URL}/{done['id']}?stream=true&starting_after={end}")).text == ""
            for beyond in (end + 1, 99999):
                error = await http.get(f"{URL}/{done['id']}?stream=true&starting_after={beyond}")
                body = error.json()["error"]
                assert error.status_code == 400 and body["param"] == "starting_after" and f"number {end};" in body["message"]

    asyncio.run(run())


def test_a_background_stream_survives_its_client() -> None:
    api = slow()

    async def run() -> None:
        async with client(api.app) as http:
            work = asyncio.create_task(http.post(URL, json={"input": HELLO, "background": True, "stream": True}))
            while not api.engine.running:
                await asyncio.sleep(0.005)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            assert api.archive is not None
            while api.engine.running:
                await asyncio.sleep(0.01)
            assert api.engine.aborts == 0

    asyncio.run(run())


def test_a_background_stream_as_it_happens() -> None:
    api = slow()

    async def run() -> None:
        async with client(api.app) as http:
            events = parse_events((await http.post(URL, json={"input": HELLO, "background": True, "stream": True})).text)
            assert event_types(events)[-1] == "completed" and output_text(events[-1]["response"]).startswith("one two")

    asyncio.run(run())


def test_cancelling() -> None:
    api = slow("a " * 400)

    async def run() -> None:
        async with client(api.app) as http:
            id = (await http.post(URL, json={"input": HELLO, "background": True})).json()["id"]
            while not api.engine.running:
                await asyncio.sleep(0.005)
            answer = await http.post(f"{URL}/{id}/cancel")
            assert answer.status_code == 200 and validated(answer.json())["status"] == "cancelled"
            while api.engine.running:
                await asyncio.sleep(0.005)
            assert api.engine.aborts == 1
            assert (await http.post(f"{URL}/{id}/cancel")).json()["status"] == "cancelled"
            events = parse_events((await http.get(f"{URL}/{id}?stream=true")).text)
            assert events[-1]["type"] == "response.incomplete" and events[-1]["response"] == (await http.get(f"{URL}/{id}")).json()

    asyncio.run(run())
    done = api.post(input=HELLO, max_output_tokens=16)
    assert api.ask("POST", f"/{done['id']}/cancel", status=400)["error"]["param"] == "response_id"
    assert api.ask("GET", f"/{done['id']}?stream=true", status=400)["error"]["param"] == "stream"
    assert api.ask("GET", f"/{done['id']}?starting_after=3", status=400)["error"]["param"] == "starting_after"


def test_a_stream_that_is_cancelled_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    api = slow("a " * 400)
    assert api.archive is not None
    put, ids = api.archive.put_response, list[str]()
    monkeypatch.setattr(api.archive, "put_response", lambda new, **more: (ids.append(new.id), put(new, **more)))

    async def run() -> None:
        async with client(api.app) as http:
            reading = asyncio.create_task(http.post(URL, json={"input": HELLO, "background": True, "stream": True}))
            while not api.engine.running:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)  # some of it has been written down
            (id,) = ids
            cancelled = validated((await http.post(f"{URL}/{id}/cancel")).json())
            events = parse_events((await reading).text)
            assert event_types(events)[:4] == ["created", "queued", "in_progress", "output_item.added"]
            assert events[0]["sequence_number"] == 0
            assert event_types(events)[-2:] == ["output_item.done", "incomplete"] and events[-1]["response"] == cancelled
            assert cancelled["status"] == "cancelled" and events[-2]["item"]["status"] == "incomplete"
            assert parse_events((await http.get(f"{URL}/{id}?stream=true&starting_after=3")).text) == events[4:]
            end = events[-1]["sequence_number"]
            assert parse_events((await http.get(f"{URL}/{id}?stream=true&starting_after={end - 1}")).text) == events[-1:]
            assert (await http.get(f"{URL}/{id}?stream=true&starting_after={end}")).text == ""
            assert (await http.get(f"{URL}/{id}?stream=true&starting_after={end + 1}")).status_code == 400

    asyncio.run(run())


def test_what_fails_in_the_background() -> None:
    api = api_client(engine=FakeEngine(lambda request: [], context=2048))

    async def run() -> None:
        async with client(api.app) as http:
            id = (await http.post(URL, json={"input": HELLO, "background": True})).json()["id"]
            failed = validated(await wait_for_status(http, id, "failed"))
            assert failed["error"]["code"] == "server_error" and failed["output"] == []
            events = parse_events((await http.get(f"{URL}/{id}?stream=true")).text)
            assert events[-1]["type"] == "response.failed"

    asyncio.run(run())


def test_what_a_dead_process_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    api = slow("a " * 400)
    monkeypatch.setattr(background, "LEASE_SECONDS", 0.05)
    monkeypatch.setattr(background, "LEASE_RENEWAL_SECONDS", 60.0)

    async def begin() -> str:
        async with client(api.app) as http:
            id = (await http.post(URL, json={"input": HELLO, "background": True})).json()["id"]
            while not api.engine.running:
                await asyncio.sleep(0.005)
            return id

    id = asyncio.run(begin())  # its tasks end with its loop
    time.sleep(0.1)
    left = validated(api.ask("GET", f"/{id}"))
    assert left["status"] == "failed" and left["error"] == {"code": "server_error", "message": abandoned.PROCESS_DIED.message}


def test_only_what_is_finished_can_be_gone_on_from() -> None:
    api = slow("a " * 400)
    assert api.archive is not None
    first = api.post(input=HELLO, max_output_tokens=16)
    stored = api.archive.response("", first["id"])
    running = replace(stored, id="resp_" + "0" * 48, status="in_progress", background=True, body={**stored.body, "status": "in_progress"})
    api.archive.put_response(running)
    error = api.post(input="More", previous_response_id=running.id, status=400)
    assert error["param"] == "previous_response_id" and error["code"] == "response_not_finished"


def test_sealed_thoughts_that_are_not_from_here() -> None:
    api = api_client("ok")
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret of another server"}
    api.post(input=[reasoning, {"role": "user", "content": HELLO}])
    assert "secret" not in api.prompts[0]


def test_the_same_id_twice() -> None:
    api = api_client()
    items: list[Any] = [{"role": "assistant", "content": "x", "id": "msg_1"}] * 2
    answer = api.post(input=[*items, {"role": "user", "content": "y"}])
    kept = api.ask("GET", f"/{answer['id']}/input_items?order=asc")["data"]
    assert kept[0]["id"] == "msg_1" and len({item["id"] for item in kept}) == 3
