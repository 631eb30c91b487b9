"""/v1/responses through OpenAI's own client: which types it makes of our answers, and what its helpers do with our events."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI, NotFoundError
from openai.types.responses import ResponseCompletedEvent, ResponseFunctionToolCall, ResponseIncompleteEvent, ResponseOutputMessage
from pydantic import BaseModel

from tests.server.api.responses.responses_client import HELLO, TOKENIZER, WEATHER, ApiClient, api_client
from tests.server.fakes import FakeEngine, calling, client, says

FUNCTION: Any = WEATHER


class City(BaseModel):
    city: str


@asynccontextmanager
async def openai(api: ApiClient) -> AsyncGenerator[AsyncOpenAI]:
    async with client(api.app) as http:
        given: Any = http  # the client's own copy of httpx has the same methods
        async with AsyncOpenAI(base_url="http://localhost/v1", api_key="none", http_client=given, max_retries=0) as sdk:
            yield sdk


def using(api: ApiClient, work: Callable[[AsyncOpenAI], Awaitable[None]]) -> None:
    async def run() -> None:
        async with openai(api) as sdk:
            await work(sdk)

    asyncio.run(run())


def test_create_retrieve_delete() -> None:
    async def work(sdk: AsyncOpenAI) -> None:
        made = await sdk.responses.create(model="tiny", input=HELLO, metadata={"a": "b"})
        assert made.output_text == "Paris." and made.usage and made.usage.total_tokens > 0
        assert isinstance(made.output[0], ResponseOutputMessage) and made.status == "completed"
        found = await sdk.responses.retrieve(made.id, include=["file_search_call.results", "message.output_text.logprobs"])
        assert found == made
        items = await sdk.responses.input_items.list(made.id, limit=1, order="asc", include=["file_search_call.results"])
        assert [item.id async for item in items] == [items.data[0].id] and items.data[0].type == "message"
        counted = await sdk.responses.input_tokens.count(model="tiny", input=HELLO)
        assert made.usage.input_tokens == counted.input_tokens
        await sdk.responses.delete(made.id)
        try:
            await sdk.responses.retrieve(made.id)
        except NotFoundError as error:
            assert error.code == "response_not_found"
        else:
            raise AssertionError("it is still there")

    using(api_client(), work)


def test_stream() -> None:
    async def work(sdk: AsyncOpenAI) -> None:
        async with sdk.responses.stream(model="tiny", input=HELLO) as stream:
            words = [event.delta async for event in stream if event.type == "response.output_text.delta"]
            final = await stream.get_final_response()
        assert "".join(words) == final.output_text == "Paris." and len(words) > 1
        plain = await sdk.responses.create(model="tiny", input=HELLO, stream=True)
        events = [event async for event in plain]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert all(type(event).__name__.startswith("Response") for event in events)  # each is of a type that the client knows

    using(api_client(), work)


def test_parse() -> None:
    async def work(sdk: AsyncOpenAI) -> None:
        parsed = await sdk.responses.parse(model="tiny", input=HELLO, text_format=City)
        assert parsed.output_parsed == City(city="Paris")
        async with sdk.responses.stream(model="tiny", input=HELLO, text_format=City) as stream:
            assert (await stream.get_final_response()).output_parsed == City(city="Paris")

    using(api_client('{"city": "Paris"}'), work)


def test_a_tool_loop() -> None:
    async def work(sdk: AsyncOpenAI) -> None:
        history: list[Any] = [{"role": "user", "content": "The weather?"}]
        first = await sdk.responses.create(model="tiny", input=history, tools=[FUNCTION])
        call = first.output[0]
        assert isinstance(call, ResponseFunctionToolCall) and call.name == "weather"
        history += [*first.output, {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
        assert (await sdk.responses.create(model="tiny", input=history, tools=[FUNCTION])).output_text == "It rains."
        async with sdk.responses.stream(model="tiny", input=history, tools=[FUNCTION]) as stream:
            assert (await stream.get_final_response()).output_text == "It rains."

    using(api_client(calling("weather", '{"city": "Rome"}'), "It rains."), work)


def test_background() -> None:
    async def work(sdk: AsyncOpenAI) -> None:
        queued = await sdk.responses.create(model="tiny", input=HELLO, background=True)
        assert queued.status == "queued"
        async with sdk.responses.stream(response_id=queued.id, starting_after=2) as stream:
            seen = [event.sequence_number async for event in stream]
            final = await stream.get_final_response()
        assert final.output_text == "one two three" and seen == list(range(3, 3 + len(seen)))
        other = await sdk.responses.create(model="tiny", input=HELLO, background=True)
        assert (await sdk.responses.cancel(other.id)).status in ("cancelled", "completed")
        async with sdk.responses.stream(response_id=other.id) as stream:
            last = [event async for event in stream][-1]
        assert isinstance(last, ResponseIncompleteEvent | ResponseCompletedEvent) and last.response.id == other.id

    using(api_client(engine=FakeEngine(says("one two three", TOKENIZER), context=2048, pause=0.01)), work)
