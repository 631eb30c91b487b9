"""The WebSocket mode of /v1/responses, with a client's library."""

import asyncio
import json
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.api.responses.responses_client import HELLO, TOKENIZER, WEATHER, api_client, event_types, output_text
from tests.server.api.responses.websocket.socket_client import DEADLINE, Socket, connected, using
from tests.server.fakes import FakeEngine, calling, says, turns
from tests.server.web import serving

LONDON = calling("weather", '{"city": "London"}')


def test_events_are_those_of_a_stream() -> None:
    streamed = event_types(api_client("Paris.").stream(input=HELLO))

    async def work(socket: Socket) -> None:
        events = await socket.ask(input=HELLO)
        assert event_types(events) == streamed
        assert output_text(events[-1]["response"]) == "Paris." and events[-1]["response"]["store"] is True

    using(api_client("Paris."), work)


def test_one_goes_on_from_the_other_though_nothing_is_stored() -> None:
    api = api_client("Noted.", "Cobalt.", archive=False)

    async def work(socket: Socket) -> None:
        first = (await socket.ask(input="The word is cobalt.", store=False))[-1]["response"]
        events = await socket.ask(input="Which word?", store=False, previous_response_id=first["id"])
        assert output_text(events[-1]["response"]) == "Cobalt."
        assert "The word is cobalt." in api.prompts[1] and "Noted." in api.prompts[1]

    using(api, work)


def test_a_tool_is_called_and_its_output_sent() -> None:
    api = api_client(LONDON, "It rains.")

    async def work(socket: Socket) -> None:
        first = (await socket.ask(input="The weather?", tools=[WEATHER], store=False))[-1]["response"]
        output = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "rain"}
        second = await socket.ask(input=[output], tools=[WEATHER], store=False, previous_response_id=first["id"])
        assert output_text(second[-1]["response"]) == "It rains."

    using(api, work)


def test_another_connection_knows_only_what_was_stored() -> None:
    api = api_client("Noted.")

    async def run(url: str) -> None:
        async with connected(url) as socket:
            stored, not_stored = [(await socket.ask(input=HELLO, store=store))[-1]["response"]["id"] for store in (True, False)]
        async with connected(url) as socket:
            (error,) = await socket.ask(input=HELLO, previous_response_id=not_stored)
            assert (error["status"], error["error"]["code"]) == (400, "previous_response_not_found")
            assert error["error"]["param"] == "previous_response_id"
            assert (await socket.ask(input=HELLO, previous_response_id=stored))[-1]["type"] == "response.completed"

    with serving(api.app) as url:
        asyncio.run(run(url))


def test_what_goes_on_from_something_that_is_not_stored_is_stored_with_it() -> None:
    api = api_client("Noted.", "Cobalt.", "Still cobalt.")
    ids = list[str]()

    async def work(socket: Socket) -> None:
        first = (await socket.ask(input="The word is cobalt.", store=False))[-1]["response"]["id"]
        ids.append((await socket.ask(input="Which word?", previous_response_id=first))[-1]["response"]["id"])

    using(api, work)
    assert api.archive is not None
    chain = api.archive.chain("", ids[0])
    assert [item["type"] for response in chain for item in response.input] == ["message"] * 3


def test_a_failed_turn_takes_its_predecessor_with_it() -> None:
    async def work(socket: Socket) -> None:
        first = (await socket.ask(input=HELLO, store=False))[-1]["response"]["id"]
        output = {"type": "function_call_output", "call_id": "call_1", "output": "x"}
        (error,) = await socket.ask(input=[output], store=False, previous_response_id=first)
        assert error["error"]["param"] == "input.0.call_id"
        (error,) = await socket.ask(input=HELLO, store=False, previous_response_id=first)
        assert error["error"]["code"] == "previous_response_not_found"
        assert (await socket.ask(input=HELLO, store=False))[-1]["type"] == "response.completed"

    using(api_client("Noted."), work)


def test_only_the_latest_response_is_remembered() -> None:
    async def work(socket: Socket) -> None:
        first, second = [(await socket.ask(input=HELLO, store=False))[-1]["response"]["id"] for _ in range(2)]
        assert (await socket.ask(input=HELLO, store=False, previous_response_id=first))[0]["type"] == "error"
        assert (await socket.ask(input=HELLO, store=False, previous_response_id=second))[-1]["type"] == "response.completed"

    using(api_client("Noted."), work)


def test_a_warm_up_generates_nothing_and_can_be_gone_on_from() -> None:
    api = api_client("Cobalt.", archive=False)

    async def work(socket: Socket) -> None:
        events = await socket.ask(input="The word is cobalt.", store=False, generate=False)
        assert event_types(events) == ["created", "in_progress", "completed"] and events[-1]["response"]["output"] == []
        assert api.engine.requests[0].sampling.max_tokens == 0
        events = await socket.ask(input="Which word?", store=False, previous_response_id=events[-1]["response"]["id"])
        assert output_text(events[-1]["response"]) == "Cobalt." and "The word is cobalt." in api.prompts[1]
        empty = await socket.ask(input=[], instructions="Be brief.", generate=False)
        assert empty[-1]["type"] == "response.completed"

    using(api, work)


def test_what_is_sent_meanwhile_waits_for_its_turn() -> None:
    engine = FakeEngine(turns(TOKENIZER, "One.", "Two."), pause=0.01, context=2048)

    async def work(socket: Socket) -> None:
        await socket.create(input="1", stream_id="a")
        await socket.create(input="2", stream_id="b.2")
        first, second = await socket.answer(), await socket.answer()
        assert {event["stream_id"] for event in first} == {"a"} and {event["stream_id"] for event in second} == {"b.2"}
        assert [output_text(events[-1]["response"]) for events in (first, second)] == ["One.", "Two."]

    using(api_client(engine=engine), work)


def test_too_many_messages_are_refused_and_the_others_answered() -> None:
    engine = FakeEngine(turns(TOKENIZER, "One."), pause=0.02, context=2048)

    async def work(socket: Socket) -> None:
        for _ in range(20):
            await socket.create(input="1")
        ends = [event for event in [await socket.receive() for _ in range(90)] if event["type"] in ("error", "response.completed")]
        assert any(event.get("status") == 429 for event in ends) and any(event["type"] == "response.completed" for event in ends)

    using(api_client(engine=engine), work)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"background": True}, "background"),
        ({"stream": False}, "stream"),
        ({"type": "response.cancel"}, "type"),
        ({"stream_id": "a b"}, "stream_id"),
        ({"model": "gpt"}, "model"),
        ({"bogus": 1}, "bogus"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}]}, "input.0.content.0.image_url"),
    ],
)
def test_what_is_refused_is_named_and_the_connection_goes_on(body: dict[str, Any], param: str) -> None:
    async def work(socket: Socket) -> None:
        (error,) = await socket.ask(**{"input": HELLO, **body})
        assert error["error"]["param"] == param and error["status"] == (404 if param == "model" else 400)
        assert (await socket.ask(input=HELLO, stream=True, background=False))[-1]["type"] == "response.completed"

    using(api_client("Hi."), work)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"type": "response.create"', "\0", "[" * 100_000])
def test_what_is_no_message_is_refused(text: str) -> None:
    async def work(socket: Socket) -> None:
        await socket.connection.send(text)
        assert (await socket.answer())[0]["status"] == 400
        await socket.connection.send(json.dumps({"type": "response.create", "input": HELLO}).encode())  # in a binary frame
        assert (await socket.answer())[-1]["type"] == "response.completed"

    using(api_client("Hi."), work)


def test_a_fault_of_the_server_is_an_event_and_tells_nothing() -> None:
    def fail(request: Any) -> Any:
        raise RuntimeError("secret")

    async def work(socket: Socket) -> None:
        (error,) = await socket.ask(input=HELLO)
        assert error["status"] == 500 and "secret" not in json.dumps(error)

    using(api_client(engine=FakeEngine(fail)), work)


def test_who_leaves_aborts_what_is_generated() -> None:
    engine = FakeEngine(says("word " * 1000, TOKENIZER), pause=0.01, context=4096)

    async def run(url: str) -> None:
        async with connected(url) as socket:
            await socket.create(input=HELLO)
            while (await socket.receive())["type"] != "response.output_text.delta":
                pass
            assert engine.running == 1
        async with asyncio.timeout(DEADLINE):
            while engine.running or not engine.aborts:
                await asyncio.sleep(0.01)

    with serving(api_client(engine=engine).app) as url:
        asyncio.run(run(url))
    assert engine.aborts == 1


def refused(api: Any, named: str = "127.0.0.1", path: str = "/v1/responses", **options: Any) -> tuple[int, Any]:
    async def run(url: str) -> tuple[int, Any]:
        with pytest.raises(InvalidStatus) as caught:
            port = url.rpartition(":")[2]
            async with connect(f"ws://{named}:{port}{path}", host="127.0.0.1", port=int(port), **options):
                pass
        return caught.value.response.status_code, json.loads(caught.value.response.body or b"")

    with serving(api.app) as url:
        return asyncio.run(run(url))


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example", "null", "http://127.0.0.1:1"])
def test_pages_of_strangers_may_not_connect(origin: str) -> None:
    status, body = refused(api_client(), origin=origin)
    assert (status, body["error"]["code"]) == (403, "origin_not_allowed")


def test_pages_of_this_server_and_of_allowed_origins_may() -> None:
    async def run(url: str) -> None:
        for origin in (url, "https://app.example"):
            async with connected(url, origin=origin) as socket:
                assert (await socket.ask(input=HELLO))[-1]["type"] == "response.completed"

    with serving(api_client("Hi.", cors_origins=("https://app.example",)).app) as url:
        asyncio.run(run(url))


def test_keys_are_asked_for_and_own_what_is_stored() -> None:
    api, other = api_client("Hi.", api_keys=("a", "b")), api_client(api_keys=("a", "b"))
    status, body = refused(other)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")

    async def run(url: str) -> None:
        async with connected(url, additional_headers={"Authorization": "Bearer a"}) as socket:
            first = (await socket.ask(input=HELLO))[-1]["response"]["id"]
        async with connected(url, additional_headers={"x-api-key": "b"}) as socket:
            (error,) = await socket.ask(input=HELLO, previous_response_id=first)
            assert error["error"]["code"] == "previous_response_not_found"

    with serving(api.app) as url:
        asyncio.run(run(url))


def test_names_that_are_not_loopback_are_refused_without_keys() -> None:
    assert refused(api_client(), "rebound.example")[0] == 403


def test_there_is_no_other_socket() -> None:
    status, body = refused(api_client(), path="/v1/chat/completions")
    assert (status, body["error"]["code"]) == (404, "not_found")


def test_a_message_that_is_too_large_closes_the_connection() -> None:
    async def run(url: str) -> None:
        async with connected(url) as socket:
            await socket.create(input="x" * 5000)
            with pytest.raises(ConnectionClosed) as caught:
                await socket.receive()
            assert caught.value.rcvd is not None and caught.value.rcvd.code == 1009

    with serving(api_client().app, ws_max_size=4000) as url:
        asyncio.run(run(url))


def test_a_connection_ends_at_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.api.responses.websocket.session.CONNECTION_SECONDS", 0.0)

    async def work(socket: Socket) -> None:
        assert (await socket.receive())["error"]["code"] == "websocket_connection_limit_reached"
        with pytest.raises(ConnectionClosed) as caught:
            await socket.receive()
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1000

    using(api_client(), work)


def test_openai_s_own_client() -> None:
    api = api_client("Paris.", "Rome.")

    async def run(url: str) -> None:
        async with (
            AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as sdk,
            sdk.responses.connect() as connection,
        ):
            told = list[str]()
            previous: Any = None
            for question in ("France?", "Italy?"):
                await connection.response.create(
                    model="tiny", input=question, store=False, **({"previous_response_id": previous} if previous else {})
                )
                async for event in connection:
                    if event.type == "response.completed":
                        previous = event.response.id
                        told.append(event.response.output_text)
                        break
            assert told == ["Paris.", "Rome."] and "France?" in api.prompts[1]

    with serving(api.app) as url:
        asyncio.run(run(url))
