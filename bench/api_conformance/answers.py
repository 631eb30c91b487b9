"""Real answers of a running server, held to the specification's schemas: what it requires is there, and everything is of its kind."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from bench.api_conformance.compare import Verdict
from bench.api_conformance.shape import TAGS, Reader, Shape

Json = dict[str, Any]
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}}, "required": ["city"]},
}
SAID = [{"role": "user", "content": "How is the weather in Rome?"}]
PATIENCE = 300.0  # seconds


@dataclass(frozen=True)
class Seen:
    """One answer: of which operation, and what it was."""

    method: str
    path: str  # as the specification has it
    answer: Any


def judged(theirs: Json, seen: list[Seen], prefix: str) -> Iterator[Verdict]:
    for one in seen:
        if one.path == prefix or one.path.startswith(f"{prefix}/"):
            yield from _value(_expected(theirs, one), one.answer, f"{one.method.upper()} {one.path} gave ")


def ask(url: str, model: str) -> Iterator[Seen]:
    """Uses all of a family's operations, and takes away again what it has made."""
    with httpx.Client(base_url=f"{url}/v1", timeout=PATIENCE) as client:
        asking = _Asking(client)
        yield from _chats(asking, model)
        yield from _responses(asking, model)
        yield from _documents(asking)
        yield from _models(asking, model)


@dataclass
class _Asking:
    client: httpx.Client

    def __call__(self, method: str, path: str, names: Json | None = None, **body: Any) -> Seen:
        told: Json = {"files": body.pop("files"), "data": body} if "files" in body else {"json": body} if method == "post" else {}
        answer = self.client.request(method.upper(), path.format(**(names or {})), **told)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return Seen(method, path, answer.json())


def _chats(ask: _Asking, model: str) -> Iterator[Seen]:
    every, one = "/chat/completions", "/chat/completions/{completion_id}"
    first = ask("post", every, model=model, messages=SAID, max_completion_tokens=8, store=True, logprobs=True, top_logprobs=1)
    tools = [{"type": "function", "function": TOOL}]
    yield first
    yield ask("post", every, model=model, messages=SAID, tools=tools, tool_choice="required", temperature=0)
    names = {"completion_id": first.answer["id"]}
    yield ask("get", every)
    yield ask("get", one, names)
    yield ask("post", one, names, metadata={"a": "b"})
    yield ask("get", f"{one}/messages", names)
    yield ask("delete", one, names)


def _responses(ask: _Asking, model: str) -> Iterator[Seen]:
    every, one = "/responses", "/responses/{response_id}"
    first = ask("post", every, model=model, input="Say hello.", max_output_tokens=16)
    names = {"response_id": first.answer["id"]}
    yield first
    tool = {"type": "function", "strict": True, **TOOL}
    yield ask("post", every, model=model, input=SAID[0]["content"], tools=[tool], tool_choice="required", temperature=0)
    yield ask("post", f"{every}/input_tokens", model=model, input="Say hello.")
    yield ask("get", one, names)
    yield ask("get", f"{one}/input_items", names)
    waiting = ask("post", every, model=model, input="Tell a very long story.", background=True)
    yield waiting
    yield ask("post", f"{one}/cancel", {"response_id": waiting.answer["id"]})
    yield ask("delete", one, names)
    talk = ask("post", "/conversations", items=[{"type": "message", "role": "user", "content": "Hello"}])
    names = {"conversation_id": talk.answer["id"]}
    yield talk
    yield ask("get", "/conversations/{conversation_id}", names)
    yield ask("get", "/conversations/{conversation_id}/items", names)
    yield ask("delete", "/conversations/{conversation_id}", names)


def _documents(ask: _Asking) -> Iterator[Seen]:
    file = ask("post", "/files", files={"file": ("a.md", b"# Leave\n\nEverybody has 31 days of leave.")}, purpose="assistants")
    store = ask("post", "/vector_stores", name="conformance")
    names = {"file_id": file.answer["id"], "vector_store_id": store.answer["id"]}
    one, members = "/vector_stores/{vector_store_id}", "/vector_stores/{vector_store_id}/files"
    yield from (file, store)
    yield ask("get", "/files")
    yield ask("get", "/files/{file_id}", names)
    yield ask("post", members, names, file_id=names["file_id"], attributes={"year": 2026})
    batch = ask("post", f"{one}/file_batches", names, file_ids=[names["file_id"]])
    names |= {"batch_id": batch.answer["id"]}
    yield batch
    for path in ("", "/file_batches/{batch_id}", "/file_batches/{batch_id}/files", "/files", "/files/{file_id}"):
        yield ask("get", f"{one}{path}", names)
    yield ask("get", "/vector_stores")
    yield ask("post", f"{one}/search", names, query="leave")
    yield ask("post", one, names, metadata={"a": "b"})
    yield ask("delete", f"{members}/{{file_id}}", names)
    yield ask("delete", one, names)
    yield ask("delete", "/files/{file_id}", names)


def _models(ask: _Asking, model: str) -> Iterator[Seen]:
    every = ask("get", "/models")
    yield every
    yield ask("get", "/models/{model}", {"model": model})
    if len(every.answer["data"]) > 1:  # the second makes vectors
        yield ask("post", "/embeddings", model=every.answer["data"][1]["id"], input="leave")


def _expected(theirs: Json, seen: Seen) -> Shape:
    responses = theirs["paths"][seen.path][seen.method]["responses"]
    told = next(response for status, response in responses.items() if status.startswith("2"))
    schema = told.get("content", {}).get("application/json", {}).get("schema")
    return Shape(free=True) if schema is None else Reader(theirs).shape(schema)


def _value(shape: Shape, value: Any, path: str) -> Iterator[Verdict]:
    """Properties that the specification does not have are extensions: nothing is said of them."""
    if isinstance(value, list):
        for item in value:
            yield from _value(shape.items or Shape(free=True), item, f"{path}[]")
    if not isinstance(value, dict):
        return
    tag = next((value[tag] for tag in TAGS if value.get(tag) in shape.variants), None)
    shape = shape.variants[tag] if tag is not None else shape
    for name in sorted((shape.required or set()) - value.keys()):
        yield Verdict(f"{path}.{name}", "missing")
    for name in sorted(shape.properties.keys() & value.keys()):
        yield Verdict(f"{path}.{name}", _problem(shape.properties[name], value[name]))
        yield from _value(shape.properties[name], value[name], f"{path}.{name}")


def _problem(shape: Shape, value: Any) -> str | None:
    kind = _kind(value)
    if not shape.free and kind not in shape.types:
        return f"is {kind}"
    if shape.values and isinstance(value, str) and value not in shape.values:
        return f"is {value!r}"
    return None


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
