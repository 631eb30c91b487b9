"""Whose refusals are counted, and by what they cost; so is what nobody waits for."""

import asyncio
import hashlib
import json
from typing import Any

import pytest

from server.core.cost import RequestCost
from server.http.body import INLINE_BYTES
from server.http.multipart import MAX_FIELDS, PIECE_BYTES
from tests.server.fake_knowledge import knowledge
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
CHAT = "/v1/chat/completions"
BODY = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}


def refusals(monkeypatch: pytest.MonkeyPatch, bodies: list[dict[str, object]], *keys: str) -> list[tuple[int, RequestCost | None]]:
    """The status of each request, and what was counted for it."""
    app, state = ready(FakeEngine(says("Hi.", TEXT)), TEXT, api_keys=keys)
    counted = list[RequestCost]()
    monkeypatch.setattr(state.throttle, "refusal_delay", lambda cost: counted.append(cost) or 0.0)
    found = list[tuple[int, RequestCost | None]]()
    for body in bodies:
        status = ask(app, "POST", CHAT, json=body, headers={"authorization": "Bearer secret"}).status_code
        found.append((status, counted.pop() if counted else None))
    return found


def test_what_is_refused_is_counted_and_what_is_answered_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad, costly = refusals(monkeypatch, [BODY, {**BODY, "n": 0}, {**BODY, "metadata": {str(i): "x" for i in range(9000)}}])
    assert good == (200, None)
    assert bad[0] == costly[0] == 400
    assert bad[1] is not None and bad[1].account == "127.0.0.1" and bad[1].seconds > 0
    assert costly[1] is not None and costly[1].seconds > bad[1].seconds and costly[1].received > 90_000


def test_a_key_pays_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    [(status, cost)] = refusals(monkeypatch, [{**BODY, "n": 0}], "secret")
    assert status == 400 and cost is not None and cost.account == hashlib.sha256(b"secret").hexdigest()


def test_unknown_keys_pay_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    [(status, cost)] = refusals(monkeypatch, [BODY], "another")
    assert status == 401 and cost is not None and cost.account == "127.0.0.1"


def test_who_is_served_is_noticed() -> None:
    app, state = ready(FakeEngine(says("Hi.", TEXT)), TEXT)
    for body, busy in (({**BODY, "n": 0}, False), (BODY, True)):
        ask(app, "POST", CHAT, content=json.dumps(body), headers={"content-type": "application/json"})
        assert state.throttle.busy is busy


def test_forms_of_very_many_parts_are_parsed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not any further once one of them is refused."""
    from python_multipart.multipart import MultipartParser

    sizes, write = list[int](), MultipartParser.write
    monkeypatch.setattr(MultipartParser, "write", lambda parser, data: sizes.append(len(data)) or write(parser, data))  # pyright: ignore
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, knowledge())
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
    answer = ask(app, "POST", "/v1/files", content=part * 20_000 + b"--x--", headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "a"
    assert sizes == [PIECE_BYTES] and len(part) * MAX_FIELDS < PIECE_BYTES


def test_very_many_prompts_are_refused_before_they_are_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    from server.api.completions import plan

    monkeypatch.setattr(plan, "encode", lambda *_: pytest.fail("they were encoded"))
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT)
    answer = ask(app, "POST", "/v1/completions", json={"model": "tiny", "prompt": ["x"] * 300})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "n"


LARGE = {**BODY, "metadata": {"a": "x" * INLINE_BYTES}}
REGEX = {**BODY, "structured_outputs": {"regex": "a+"}}


async def hang_up(app: Any, body: dict[str, object], *, when: asyncio.Event) -> None:
    """Sends a request as a whole, and goes away `when`."""
    sent = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    headers = [(b"content-type", b"application/json"), (b"host", b"localhost")]
    scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "http_version": "1.1", "headers": headers}
    scope["client"] = "127.0.0.1", 1

    async def receive() -> Any:
        if sent:
            return sent.pop()
        await when.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pytest.fail("there was an answer")

    await app(scope, receive, send)


def test_who_has_gone_is_noticed_before_a_large_body_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    from server.http import body

    async def scene() -> None:
        gone = asyncio.Event()
        gone.set()
        await hang_up(app, LARGE, when=gone)

    monkeypatch.setattr(body, "_parse", lambda *_: pytest.fail("it was parsed"))
    app, state = ready(FakeEngine(says("Hi.", TEXT)), TEXT)
    state.throttle.note_served()
    for _ in range(1000):
        asyncio.run(scene())
    assert state.throttle.debt("127.0.0.1") > 0


@pytest.mark.parametrize("body", [LARGE, REGEX])
def test_who_owes_something_waits_and_may_go_away_meanwhile(body: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        waiting, abandoned = asyncio.Event(), list[str]()

        async def pause(account: str) -> None:
            waiting.set()
            await asyncio.Event().wait()

        engine = FakeEngine(says("Hi.", TEXT))
        app, state = ready(engine, TEXT)
        monkeypatch.setattr(state.throttle, "pause", pause)
        monkeypatch.setattr(state.throttle, "abandoned", lambda cost: abandoned.append(cost.account))
        async with asyncio.timeout(60):
            await hang_up(app, body, when=waiting)
        assert abandoned == ["127.0.0.1"] and not engine.requests and state.active_requests == 0

    asyncio.run(scene())


def test_answers_owe_nothing() -> None:
    app, state = ready(FakeEngine(says("Hi.", TEXT)), TEXT)
    for body in (REGEX, {**BODY, "stream": True}):
        assert ask(app, "POST", CHAT, json=body).status_code == 200
    assert state.throttle.busy and state.throttle.debt("127.0.0.1") == 0
