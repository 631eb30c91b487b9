"""The stack before two other servers, which are processes of this server with a real model."""

import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.app import create_app
from server.runtime.settings import Settings
from tests.server.conftest import Running, running
from tests.server.web import serving

Json = dict[str, Any]
COLOURS = [{"role": "user", "content": "Name three colours, please."}]
WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
SCHEMA = {"type": "object", "properties": {"a": {"enum": ["red", "blue"]}}, "required": ["a"], "additionalProperties": False}


@contextmanager
def front(tmp_path: Path, *upstreams: str) -> Iterator[str]:
    database = str(tmp_path / "front.db")
    app, _ = create_app(Settings(engine="remote", upstream=upstreams, embedding_model="none", database_url=database))
    with serving(app) as url:
        await_ready(url, 200)
        yield url


def await_ready(url: str, status: int) -> Json:
    deadline = time.monotonic() + 60
    while (response := httpx.get(f"{url}/ready")).status_code != status:
        assert time.monotonic() < deadline, response.text
        time.sleep(0.05)
    return response.json()


def chat(url: str, **options: Any) -> Json:
    body = {"model": "smollm2", "messages": COLOURS, "max_tokens": 12, "temperature": 0, **options}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()


def said(answer: Json) -> list[Json]:
    """Without ids and what the cache knew."""
    for choice in answer["choices"]:
        for call in choice.get("message", {}).get("tool_calls") or []:
            del call["id"]
    return [*answer["choices"], {name: answer["usage"][name] for name in ("prompt_tokens", "completion_tokens")}]


def spelt(url: str, **options: Any) -> Generator[str]:
    """The pieces of a stream."""
    body = {"model": "smollm2", "messages": COLOURS, "stream": True, "temperature": 0, **options}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    raise ConnectionAbortedError(event["error"])
                yield from (choice["delta"].get("content") or "" for choice in event["choices"])


def test_answers_are_those_of_the_upstream(server: Running, tmp_path: Path) -> None:
    """Text and token counts, logprobs, seeds, grammars, calls; what only a stream of tokens can give."""
    with front(tmp_path, server.url) as url:
        for options in (
            {"logprobs": True, "top_logprobs": 3},
            {"seed": 7, "temperature": 1.0, "n": 2},
            {"stop": ["Blue"], "logit_bias": {"100": 5}, "min_tokens": 3, "repetition_penalty": 1.1},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, "max_tokens": 40},
            {"structured_outputs": {"regex": "[a-z]{5}"}},
            {"tools": [{"type": "function", "function": WEATHER}], "tool_choice": "required", "max_tokens": 60},
        ):
            assert said(chat(url, **options)) == said(chat(server.url, **options)), options
        text = chat(server.url)["choices"][0]["message"]["content"]
        assert "".join(spelt(url, max_tokens=12)) == text
        body = {"model": "smollm2", "prompt": "The sky is", "echo": True, "logprobs": 1, "max_tokens": 0}
        direct, through = (httpx.post(f"{one}/v1/completions", json=body).json() for one in (server.url, url))
        assert said(direct) == said(through)
        refused = chat(url, bad_words=["red"])["error"]
        assert refused["code"] == "unsupported" and "bad_words" in refused["message"]


def test_one_that_dies_is_told_of_or_done_without(server: Running, tmp_path: Path) -> None:
    options = ("--model", "smollm2", "--context", "2048", "--embedding-model", "none")
    with running(tmp_path / "log", *options) as second, front(tmp_path, second.url, server.url) as url:
        long = [{"role": "system", "content": "You know all colours. " * 8}]
        cached = [chat(url, messages=[*long, *COLOURS], max_tokens=1)["usage"]["prompt_tokens_details"]["cached_tokens"] for _ in range(2)]
        assert cached[0] < 40 < cached[1] and second.metric("prompt_tokens_total") > 100  # both went to the first
        closed = second.metric("sequences_closed_total")
        pieces = spelt(url, messages=[*long, *COLOURS], max_tokens=1000, ignore_eos=True)
        assert next(pieces) + next(pieces)
        pieces.close()
        while second.metric("sequences_closed_total") == closed or second.metric("requests_running"):
            time.sleep(0.02)
        text = "".join(spelt(url, max_tokens=12))
        pieces = spelt(url, messages=[*long, *COLOURS], max_tokens=1000, ignore_eos=True)
        assert next(pieces) + next(pieces)
        second.process.kill()
        with pytest.raises(ConnectionAbortedError, match=r"upstream 1 has closed the connection, in the middle of an answer"):
            list(pieces)
        assert "".join(spelt(url, messages=COLOURS, max_tokens=12)) == text  # by the other
