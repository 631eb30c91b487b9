"""Images in the other APIs, in results of tools, and in what is stored."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from engine.api import Request, VisionInfo
from retrieval.store import StoreOptions, open_store
from server.archive.database import open_archive
from server.core.tool_host import ToolOutcome
from server.text.tokenizer import load_tokenizer
from tests.server.fake_host import FakeHost, tool
from tests.server.fakes import FakeEngine, ask, calling, ready, tool_text, turns
from tests.server.text.images.test_prompts import CASES, NUMBER, VOCAB, folder_of
from tests.server.text.images.world import data_url, eyes, file_of, image_part, noise, seeing, text_part

PICTURE = noise(1)
DATA = base64.b64encode(file_of(PICTURE)).decode()
QUESTION = "what color is the object?"
ANTHROPIC = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}


def post(app: Starlette, path: str, body: dict[str, Any], status: int = 200, **more: Any) -> Any:
    answer = ask(app, "POST", path, json={"model": "tiny", **body}, **more)
    assert answer.status_code == status, answer.text
    return answer.json()


def by_chat() -> Request:
    """What the others have to come to as well."""
    engine = eyes()
    post(seeing(engine), "/v1/chat/completions", {"messages": [{"role": "user", "content": [image_part(PICTURE), text_part(QUESTION)]}]})
    return engine.requests[0]


def responses(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [*parts, {"type": "input_text", "text": QUESTION}]}], "store": False}


USER = {"role": "user", "content": [ANTHROPIC, {"type": "text", "text": QUESTION}]}
SAME: Mapping[str, tuple[str, dict[str, Any]]] = {
    "Responses": ("/v1/responses", responses({"type": "input_image", "image_url": data_url(PICTURE), "detail": "high"})),
    "Messages": ("/v1/messages", {"messages": [USER], "max_tokens": 5}),
    "Ollama's chat": ("/api/chat", {"messages": [{"role": "user", "content": QUESTION, "images": [DATA]}], "stream": False}),
    "Ollama's prompts": ("/api/generate", {"prompt": QUESTION, "images": [DATA], "stream": False}),
}


@pytest.mark.parametrize("api", SAME)
def test_every_api_shows_the_same(api: str) -> None:
    engine, (path, body) = eyes(), SAME[api]
    post(seeing(engine), path, body)
    assert (engine.requests[0].tokens, engine.requests[0].images) == (by_chat().tokens, by_chat().images)


def test_tokens_are_counted_with_rows() -> None:
    counted = post(seeing(eyes()), "/v1/messages/count_tokens", {"messages": [USER]})
    assert counted == {"input_tokens": len(by_chat().tokens)}


REFUSED: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "a URL": ("/v1/responses", responses({"type": "input_image", "image_url": "https://a.org/b.png"}), "input.0.content.0.image_url"),
    "neither": ("/v1/responses", responses({"type": "input_image"}), "input.0.content.0"),
    "no such file": ("/v1/responses", responses({"type": "input_image", "file_id": "file-1"}), "input.0.content.0.file_id"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str, tmp_path: Path) -> None:
    path, body, param = REFUSED[what]
    answer = post(kept(eyes(), tmp_path), path, body, 404 if "file" in what else 400)
    assert answer["error"]["param"] == param


def test_a_url_is_not_fetched_for_messages() -> None:
    source = {"type": "url", "url": "https://example.com/a.png"}
    body = {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}], "max_tokens": 5}
    error = post(seeing(eyes()), "/v1/messages", body, 400)["error"]
    assert "messages.0.content.0.source.url" in error["message"] and "nothing is fetched" in error["message"]


def test_an_answer_shows_no_images() -> None:
    message = {"role": "assistant", "content": "x", "images": [DATA]}
    assert "messages.0.images" in post(seeing(eyes()), "/api/chat", {"messages": [message]}, 400)["error"]


def kept(engine: FakeEngine, folder: Path) -> Starlette:
    """With a database."""
    database = open_store(folder / "stoa.db", StoreOptions())
    return seeing(engine, archive=open_archive(database.transactions), database=database)


def test_what_is_stored_names_a_file_and_is_seen_again(tmp_path: Path) -> None:
    engine = eyes()
    app = kept(engine, tmp_path)
    first = post(app, "/v1/responses", {**responses({"type": "input_image", "image_url": data_url(PICTURE)}), "store": True})
    items = ask(app, "GET", f"/v1/responses/{first['id']}/input_items").json()["data"]
    image = items[0]["content"][0]
    assert image["image_url"] is None and image["file_id"].startswith("file-") and image["detail"] == "auto"
    assert ask(app, "GET", f"/v1/files/{image['file_id']}/content").content == file_of(PICTURE)
    post(app, "/v1/responses", {"input": "how many are there?", "previous_response_id": first["id"]})
    post(app, "/v1/responses", responses({"type": "input_image", "file_id": image["file_id"], "detail": "low"}))
    assert [len(request.images) for request in engine.requests] == [1, 1, 1]
    assert len({request.images[0].image for request in engine.requests}) == 1
    assert len(ask(app, "GET", "/v1/files").json()["data"]) == 1


def test_a_conversation_keeps_its_images(tmp_path: Path) -> None:
    engine = eyes()
    app = kept(engine, tmp_path)
    conversation = ask(app, "POST", "/v1/conversations", json={}).json()["id"]
    post(app, "/v1/responses", {**responses({"type": "input_image", "image_url": data_url(PICTURE)}), "conversation": conversation})
    post(app, "/v1/responses", {"input": "how many?", "conversation": conversation})
    assert engine.requests[1].images[0].image == engine.requests[0].images[0].image
    items = ask(app, "GET", f"/v1/conversations/{conversation}/items?order=asc").json()["data"]
    assert items[0]["content"][0]["file_id"].startswith("file-")


def test_images_of_a_clients_tool() -> None:
    engine = eyes()
    used = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "object"}, ANTHROPIC]}
    messages = [{"role": "user", "content": QUESTION}, used, {"role": "user", "content": [result]}]
    post(seeing(engine), "/v1/messages", {"messages": messages, "max_tokens": 5})
    assert engine.requests[0].images[0].image == by_chat().images[0].image


def test_a_model_without_eyes_is_told_of_a_tools_image() -> None:
    text = tool_text()
    engine = FakeEngine(turns(text, "ok"), context=2048)
    used = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [ANTHROPIC]}
    messages = [{"role": "user", "content": QUESTION}, used, {"role": "user", "content": [result]}]
    post(ready(engine, text)[0], "/v1/messages", {"messages": messages, "max_tokens": 5})
    assert "[an image, which this model cannot see]" in text.decode(engine.requests[0].tokens)


@dataclass
class Camera(FakeHost):
    async def call(self, label: str, name: str, arguments: Mapping[str, Any], *, owner: str) -> ToolOutcome:
        return ToolOutcome(text="object", images=(file_of(PICTURE), b"no image"))


CALL = {"tools": [{"type": "mcp", "server_label": "camera", "require_approval": "never"}]}


def test_images_of_an_mcp_server_without_eyes() -> None:
    text = tool_text()
    engine = FakeEngine(turns(text, calling("camera__look", '{"word": "x"}'), "seen"), context=2048)
    app, _ = ready(engine, text, parts={"tool_host": Camera({"camera": (tool("look"),)})})
    post(app, "/v1/chat/completions", {"messages": [{"role": "user", "content": "look"}], **CALL})
    assert text.decode(engine.requests[-1].tokens).count("[an image, which this model cannot see]") == 2


def test_images_of_an_mcp_server(tmp_path: Path) -> None:
    """The one that can be read is seen, the other one is told of; bytes are this model's tokens, so it can write calls."""
    case = CASES["gemma3"]
    folder, row = folder_of(tmp_path, "gemma3", case), NUMBER[case.marks[1]]
    text = load_tokenizer(folder)
    engine = FakeEngine(turns(text, calling("camera__look", '{"word": "x"}'), "seen", then="</s>"), context=4096, vocab=len(VOCAB))
    engine.vision = VisionInfo(marker=row, channels=3, patch=14, merge=2, side=28, rows=4096)
    app = seeing(engine, text, folder, tool_host=Camera({"camera": (tool("look"),)}))
    answer = post(app, "/v1/chat/completions", {"messages": [{"role": "user", "content": "look"}], **CALL})
    assert answer["choices"][0]["message"]["content"] == "seen"
    assert [len(request.images) for request in engine.requests] == [0, 1]
    assert "cannot be seen" in text.decode(engine.requests[1].tokens)
