"""/v1/responses around an engine that knows its lines, with an archive in a file of its own."""

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

TEXT = text()
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
class World:
    engine: FakeEngine
    app: Starlette
    archive: DatabaseArchive | None

    def ask(self, method: str, path: str = "", *, status: int = 200, **given: Any) -> Any:
        answer = ask(self.app, method, f"{URL}{path}", **given)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, *, status: int = 200, **body: Any) -> Any:
        """A Response, checked by its type; or an error."""
        answer = self.ask("POST", status=status, json={"model": "tiny", **body})
        return checked(answer) if status == 200 else answer["error"]

    def stream(self, **body: Any) -> list[Any]:
        answer = ask(self.app, "POST", URL, json={"model": "tiny", "stream": True, **body})
        assert answer.status_code == 200, answer.text
        return events(answer.text)

    @property
    def prompts(self) -> list[str]:
        return [prompt(request) for request in self.engine.requests]


def world(
    *words: str,
    archive: bool = True,
    knowledge: KnowledgeBase | None = None,
    parts: dict[str, Any] | None = None,
    engine: FakeEngine | None = None,
    **given: Any,
) -> World:
    """The words are said one turn after the other."""
    engine = engine or FakeEngine(turns(TEXT, *(words or ("Paris.",))), context=2048)
    kept = new_archive() if archive else None
    app, _ = ready(engine, TEXT, knowledge, parts={"archive": kept, **(parts or {})}, **given)
    return World(engine, app, kept)


def prompt(request: Request) -> str:
    return b"".join(TEXT.token_bytes[token] for token in request.tokens).decode(errors="replace")


def events(body: str) -> list[Any]:
    """Each is framed by its type, and they are numbered without a gap."""
    found: list[Any] = []
    for frame in body.split("\n\n")[:-1]:
        name, data = frame.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    numbers = [event["sequence_number"] for event in found]
    assert not numbers or numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return found


def checked(body: Any) -> Any:
    """With all fields of the type, and no others."""
    shape = Response.model_validate(body)
    assert set(body) == set(shape.model_dump()), set(body) ^ set(shape.model_dump())
    return body


def replayed(told: list[Any]) -> list[Any]:
    """The output, put together from deltas alone."""
    output: list[Any] = []
    for event in told:
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


def kinds(told: list[Any]) -> list[str]:
    """The types of events, each row of deltas once."""
    names = [event["type"].removeprefix("response.") for event in told]
    return [name for at, name in enumerate(names) if at == 0 or name != names[at - 1] or not name.endswith(".delta")]


def said(body: Any) -> str:
    return "".join(part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"])
