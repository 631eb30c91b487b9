"""What one key has sent, no other can tell: neither by what is reported as cached, nor by time."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.server.conftest import running
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
BODIES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2},
    "/v1/completions": {"prompt": "hi", "max_tokens": 2},
    "/v1/responses": {"input": "hi", "max_output_tokens": 16, "store": False},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2},
}
LETTER = "My account number is {}. " + "I write because of the invoice of last month, which I have paid twice by mistake. " * 30


def test_the_engine_knows_on_whose_behalf() -> None:
    engine = FakeEngine(says("Good.", TEXT))
    app, _ = ready(engine, TEXT, api_keys=("first", "second"))
    for path, body in BODIES.items():
        for key in ("first", "second"):
            assert ask(app, "POST", path, json={"model": "tiny", **body}, headers={"authorization": f"Bearer {key}"}).status_code == 200
    owners = [request.owner for request in engine.requests]
    assert len(owners) == 2 * len(BODIES)
    assert "" not in owners
    assert len(set(owners[::2])) == len(set(owners[1::2])) == 1
    assert owners[0] != owners[1]


@dataclass(frozen=True)
class Client:
    http: httpx.Client
    key: str

    def cached(self, content: str, system: str = "Be brief.") -> tuple[int, float]:
        """Tokens that were cached, and the milliseconds that a prompt and one token took."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
        began = time.perf_counter()
        body = {"model": "smollm2", "messages": messages, "max_tokens": 1}
        answer = self.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {self.key}"})
        seconds = time.perf_counter() - began
        return answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"], seconds * 1000


@pytest.mark.slow
def test_guessing_is_no_use(smollm2: str, tmp_path: Path) -> None:
    """A's prompt with a secret; B guesses. Right and wrong guesses have the same count, and the same time within the scatter of wrong
    guesses among themselves; A's own second time is far below both, so a difference would be seen."""
    options = ("--model", smollm2, "--embedding-model", "none", "--api-key", "first", "--api-key", "second")
    shared = "You answer for the town hall. " * 20
    with running(tmp_path / "log", *options, "--shared-prefix", shared) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        a, b = Client(http, "first"), Client(http, "second")
        a.cached("warm up")
        secrets = [f"{n:04}" for n in range(1000, 1009)]
        for secret in secrets:
            a.cached(LETTER.format(secret))
        right = [b.cached(LETTER.format(secret)) for secret in secrets]
        wrong = [b.cached(LETTER.format(f"{n:04}")) for n in range(2000, 2009)]
        again = [a.cached(LETTER.format(secret)) for secret in secrets]
        assert {count for count, _ in right[1:]} == {count for count, _ in wrong}  # B's first found nothing of B's own
        assert min(count for count, _ in again) > max(count for count, _ in right) + 300
        slow, fast = statistics.median(ms for _, ms in wrong), statistics.median(ms for _, ms in again)
        assert abs(statistics.median(ms for _, ms in right) - slow) < (slow - fast) / 3
        assert a.cached("x", shared)[0] == 0 < b.cached("y", shared)[0]
