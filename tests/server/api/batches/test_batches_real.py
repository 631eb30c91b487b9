"""Batches on a real server process with SmolLM2 and MiniLM, through the official SDK; one that is killed half way."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.types import Batch

from tests.server.conftest import Running, running

CHAT = "/v1/chat/completions"
PATIENCE = 300.0  # seconds
ENDED = ("completed", "failed", "expired", "cancelled")


@pytest.fixture
def openai(server: Running) -> Iterator[OpenAI]:
    with sdk(server) as client:
        yield client


def sdk(server: Running) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def line(number: int, url: str = CHAT, **body: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": f"Count to {number}."}], "max_tokens": 24, "temperature": 0}
    return {
        "custom_id": f"line-{number}",
        "method": "POST",
        "url": url,
        "body": {"model": "smollm2", **(asked if url == CHAT else {}), **body},
    }


def create(openai: OpenAI, lines: list[dict[str, Any]], endpoint: Any = CHAT) -> Batch:
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = openai.files.create(file=("lines.jsonl", content), purpose="batch")
    return openai.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"n": str(len(lines))})


def await_batch(openai: OpenAI, batch: Batch, enough: Callable[[Batch], bool] = lambda batch: batch.status in ENDED) -> Batch:
    deadline = time.monotonic() + PATIENCE
    while not enough(batch := openai.batches.retrieve(batch.id)):
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
    return batch


def lines_of(openai: OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id is not None
    return [json.loads(text) for text in openai.files.content(file_id).text.splitlines()]


def test_a_batch_says_what_requests_say(openai: OpenAI) -> None:
    lines = [*(line(number) for number in range(2, 6)), line(9, temperature=7)]
    done = await_batch(openai, create(openai, lines))
    assert done.status == "completed" and done.metadata == {"n": "5"} and done.model == "smollm2" and done.errors is None
    assert done.request_counts is not None and done.request_counts.to_dict() == {"total": 5, "completed": 4, "failed": 1}
    output = lines_of(openai, done.output_file_id)
    assert [one["custom_id"] for one in output] == [f"line-{number}" for number in range(2, 6)]
    alone = openai.chat.completions.create(**lines[0]["body"])
    assert output[0]["response"]["body"]["choices"][0]["message"]["content"] == alone.choices[0].message.content
    assert done.usage is not None and done.usage.output_tokens == sum(
        one["response"]["body"]["usage"]["completion_tokens"] for one in output
    )
    (failed,) = lines_of(openai, done.error_file_id)
    assert failed["response"]["status_code"] == 400 and failed["response"]["body"]["error"]["param"] == "temperature"
    assert done.id in [one.id for one in openai.batches.list(limit=1)]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/completions", {"prompt": "The sea is", "max_tokens": 8}),
        ("/v1/responses", {"input": "Say hello.", "max_output_tokens": 16}),
        ("/v1/embeddings", {"model": "minilm", "input": ["The sea is deep."] * 20}),
    ],
)
def test_other_endpoints(openai: OpenAI, endpoint: str, body: dict[str, Any]) -> None:
    done = await_batch(openai, create(openai, [line(1, endpoint, **body)], endpoint))
    (only,) = lines_of(openai, done.output_file_id)
    assert only["response"]["status_code"] == 200 and done.usage is not None and done.usage.input_tokens > 0


def test_a_cancelled_batch(openai: OpenAI) -> None:
    batch = create(openai, [line(number, max_tokens=400, ignore_eos=True) for number in range(60)])
    await_batch(openai, batch, lambda batch: batch.status == "in_progress")
    assert openai.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    done = await_batch(openai, batch)
    counts = done.request_counts
    assert done.status == "cancelled" and counts is not None and counts.failed == 60 - counts.completed > 0
    assert {one["error"]["code"] for one in lines_of(openai, done.error_file_id)} == {"batch_cancelled"}


def test_a_wrong_file_fails(openai: OpenAI) -> None:
    done = await_batch(openai, create(openai, [line(1), line(1), line(2, stream=True)]))
    assert done.status == "failed" and done.errors is not None and done.errors.data is not None
    assert [(error.line, error.code) for error in done.errors.data] == [(2, "duplicate_custom_id"), (3, "unsupported_value")]


@pytest.mark.slow  # two servers and the end of a lease; see also tests/server/archive/test_batch_jobs.py
def test_a_batch_outlives_kill_9(smollm2: str, tmp_path: Path) -> None:
    options = ["--model", smollm2, "--context", "1024", "--embedding-model", "none", "--database-url", str(tmp_path / "stoa.db")]
    with running(tmp_path / "log", *options, "--batch-sequences", "2") as first, sdk(first) as openai:
        batch = create(openai, [line(number, max_tokens=60, ignore_eos=True) for number in range(10)])
        before = await_batch(openai, batch, lambda batch: batch.request_counts is not None and batch.request_counts.completed >= 2)
        first.process.kill()
        first.process.wait()
    with running(tmp_path / "log2", *options, "--batch-sequences", "4") as second, sdk(second) as openai:
        again = openai.batches.retrieve(batch.id)
        assert again.status == "in_progress" and again.request_counts is not None and before.request_counts is not None
        assert again.request_counts.completed >= before.request_counts.completed
        done = await_batch(openai, batch)
        assert done.status == "completed" and done.request_counts is not None
        assert done.request_counts.to_dict() == {"total": 10, "completed": 10, "failed": 0}
        output = lines_of(openai, done.output_file_id)
        assert [one["custom_id"] for one in output] == [f"line-{number}" for number in range(10)]
        assert {one["response"]["body"]["usage"]["completion_tokens"] for one in output} == {60}
        assert second.metric('batch_lines_total{outcome="completed"}') <= 10 - before.request_counts.completed
