"""A test client of /v1/responses: the application with a fake engine and an archive in a temporary file."""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from starlette.applications import Starlette

from engine.api import Request
from retrieval.store import StoreOptions, open_store
from server.api.responses.types.response import Response
from server.archive.database import DatabaseArchive, open_archive
from server.runtime.knowledge_base import KnowledgeBase
from tests.server.fakes import FakeEngine, ask, ready, text, turns

TOKENIZER = text()
URL = "/v1/responses"
HELLO = "Hello"
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
    "strict": True,
}


def new_archive(where: Path | None = None) -> DatabaseArchive:
    return open_archive(open_store(where or Path(mkdtemp()) / "stoa.db", StoreOptions()).transactions)


@dataclass
class ApiClient:
    engine: FakeEngine
    app: Starlette
    archive: DatabaseArchive | None
    sealing_key: bytes = b""

    def ask(self, method: str, path: str = "", *, status: int = 200, **kwargs: Any) -> Any:
        answer = ask(self.app, method, f"{URL}{path}", **kwargs)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, *, status: int = 200, **body: Any) -> Any:
        """Returns the validated Response, or the error object."""
        answer = self.ask("POST", status=status, json={"model": "tiny", **body})
        return validated(answer) if status == 200 else answer["error"]

    def stream(self, **body: Any) -> list[Any]:
        answer = ask(self.app, "POST", URL, json={"model": "tiny", "stream": True, **body})
        assert answer.status_code == 200, answer.text
        return parse_events(answer.text)

    @property
    def prompts(self) -> list[str]:
        return [prompt_text(request) for request in self.engine.requests]


def api_client(
    *words: str,
    archive: bool = True,
    knowledge: KnowledgeBase | None = None,
    parts: dict[str, Any] | None = None,
    engine: FakeEngine | None = None,
    **settings: Any,
) -> ApiClient:
    """`words`: what the model answers in each turn."""
    engine = engine or FakeEngine(turns(TOKENIZER, *(words or ("Paris.",))), context=2048)
    new = new_archive() if archive else None
    app, state = ready(engine, TOKENIZER, knowledge, parts={"archive": new, **(parts or {})}, **settings)
    assert state.runtime is not None
    return ApiClient(engine, app, new, state.runtime.sealing_key)


def prompt_text(request: Request) -> str:
    return b"".join(TOKENIZER.token_bytes[token] for token in request.tokens).decode(errors="replace")


def parse_events(body: str) -> list[Any]:
    """Parses server-sent events; their names must be their types, their sequence numbers consecutive."""
    found: list[Any] = []
    for frame in body.split("\n\n")[:-1]:
        name, data = frame.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    numbers = [event["sequence_number"] for event in found]
    assert not numbers or numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return found


def validated(body: Any) -> Any:
    """Asserts that the Response has exactly the fields of its type."""
    shape = Response.model_validate(body)
    assert set(body) == set(shape.model_dump()), set(body) ^ set(shape.model_dump())
    return body


def replay(events: list[Any]) -> list[Any]:
    """The output, rebuilt from deltas alone."""
    output: list[Any] = []
    for event in events:
        match event["type"]:
            case "response.output_item.added":
                assert event["output_index"] == len(output)
                output.append(json.loads(json.dumps(event["item"])))
            case "response.content_part.added":
                output[event["output_index"]]["content"].append(json.loads(json.dumps(event["part"])))
            case "response.output_text.delta" | "response.reasoning_text.delta":
                output[event["output_index"]]["content"][event["content_index"]]["text"] += event["delta"]
            case "response.output_text.annotation.added":
                output[event["output_index"]]["content"][event["content_index"]]["annotations"].append(event["annotation"])
            case "response.function_call_arguments.delta" | "response.mcp_call_arguments.delta":
                output[event["output_index"]]["arguments"] += event["delta"]
            case "response.output_item.done":
                assert event["item"]["id"] == output[event["output_index"]]["id"]
            case _:
                pass
    return output


def event_types(events: list[Any]) -> list[str]:
    """The types of events, without their prefix; consecutive deltas count once."""
    names = [event["type"].removeprefix("response.") for event in events]
    return [name for at, name in enumerate(names) if at == 0 or name != names[at - 1] or not name.endswith(".delta")]


def output_text(body: Any) -> str:
    return "".join(part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"])
