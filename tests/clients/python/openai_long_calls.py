"""What outlasts one request, by openai's client: batches, uploads, responses in the background and over a WebSocket, compaction."""

import json
import time

import openai
from calls import EMBEDDER, KEY, MODEL, URL, call, main

ADDRESS = {"base_url": f"{URL}/v1", "api_key": KEY, "max_retries": 0}
PATIENCE = 300.0  # seconds
WORDS = b"The boiler is in the cellar. " * 4000
client = openai.OpenAI(**ADDRESS)


def until(told, ask):
    """What `ask` gives once `told` says so of it."""
    deadline = time.monotonic() + PATIENCE
    while not told(found := ask()):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def batch_of(endpoint, *bodies):
    lines = [{"custom_id": f"line-{at}", "method": "POST", "url": endpoint, "body": body} for at, body in enumerate(bodies)]
    file = client.files.create(file=("lines.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"a": "b"})


def outputs_of(batch):
    done = until(lambda batch: batch.status in ("completed", "failed"), lambda: client.batches.retrieve(batch.id))
    assert done.status == "completed" and done.request_counts.failed == 0, done
    return [json.loads(line)["response"] for line in client.files.content(done.output_file_id).text.splitlines()]


@call
def batch_of_chats():
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
    batch = batch_of("/v1/chat/completions", asked, asked | {"max_tokens": 4})
    assert len(outputs_of(batch)) == 2
    return batch.id in [one.id for one in client.batches.list(limit=10)] and batch.metadata == {"a": "b"}


@call
def batch_of_embeddings():
    return outputs_of(batch_of("/v1/embeddings", {"model": EMBEDDER, "input": ["a", "b"]}))[0]["body"]["data"][1]["embedding"]


@call
def batch_of_responses():
    return outputs_of(batch_of("/v1/responses", {"model": MODEL, "input": "Say hello.", "max_output_tokens": 16}))[0]["body"]["output"]


@call
def batch_cancelled():
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Count."}], "max_tokens": 400}
    batch = client.batches.cancel(batch_of("/v1/chat/completions", *[asked] * 40).id)
    return until(lambda batch: batch.status == "cancelled", lambda: client.batches.retrieve(batch.id)).cancelled_at


@call
def upload_by_parts():
    upload = client.uploads.create(bytes=len(WORDS), filename="notes.txt", mime_type="text/plain", purpose="assistants")
    parts = [client.uploads.parts.create(upload.id, data=WORDS[at : at + 50_000]).id for at in range(0, len(WORDS), 50_000)]
    file = client.uploads.complete(upload.id, part_ids=parts).file
    return client.files.content(file.id).read() == WORDS


@call
def upload_by_chunks():
    done = client.uploads.upload_file_chunked(
        file=WORDS, filename="n.txt", bytes=len(WORDS), mime_type="text/plain", purpose="user_data", part_size=30_000
    )
    return done.status == "completed" and client.files.delete(done.file.id).deleted


@call
def upload_cancelled():
    upload = client.uploads.create(bytes=4, filename="a.txt", mime_type="text/plain", purpose="assistants")
    return client.uploads.cancel(upload.id).status == "cancelled"


@call
def responses_in_the_background():
    made = client.responses.create(model=MODEL, input="Say hello.", background=True, max_output_tokens=16)
    done = until(lambda found: found.status not in ("queued", "in_progress"), lambda: client.responses.retrieve(made.id))
    assert done.status in ("completed", "incomplete") and done.output, done
    assert client.responses.input_items.list(made.id).data
    client.responses.delete(made.id)
    try:
        client.responses.retrieve(made.id)
    except openai.NotFoundError:
        return True


@call
def responses_cancelled():
    made = client.responses.create(model=MODEL, input="Count to a thousand.", background=True, max_output_tokens=1000)
    assert client.responses.cancel(made.id).status == "cancelled"
    return client.responses.retrieve(made.id).status == "cancelled"


@call
def responses_compacted():
    said = [{"role": "user", "content": "The boiler is in the cellar."}, {"role": "assistant", "content": "I see."}]
    short = client.responses.compact(model=MODEL, input=said)
    assert [item.type for item in short.output] == ["message", "compaction"], short
    items = [item.model_dump(exclude_none=True) for item in short.output]
    return client.responses.create(model=MODEL, input=[*items, {"role": "user", "content": "Where?"}], max_output_tokens=16).output


@call
def responses_over_a_websocket():
    with client.responses.connect() as connection:
        found = _told(connection, input="Say hello.", store=False)
        return _told(connection, input="Again.", store=False, previous_response_id=found.id).output


def _told(connection, **given):
    connection.response.create(model=MODEL, max_output_tokens=16, **given)
    return next(event.response for event in connection if event.type in ("response.completed", "response.incomplete"))


@call
async def responses_over_a_websocket_async():
    async with openai.AsyncOpenAI(**ADDRESS) as asked, asked.responses.connect() as connection:
        await connection.response.create(model=MODEL, input="Say hello.", max_output_tokens=16)
        ended = (event.response async for event in connection if event.type in ("response.completed", "response.incomplete"))
        return (await anext(ended)).output


@call
def stored_chats():
    asked = [{"role": "user", "content": "Say hello."}]
    made = client.chat.completions.create(model=MODEL, messages=asked, store=True, metadata={"a": "b"}, max_tokens=8)
    assert client.chat.completions.messages.list(made.id).data[0].content == "Say hello."
    assert client.chat.completions.update(made.id, metadata={"a": "c"}).metadata == {"a": "c"}
    return client.chat.completions.delete(made.id).deleted


if __name__ == "__main__":
    main()
