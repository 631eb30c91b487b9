"""A server whose engine is vLLM. Not collected by itself: it needs the environment of environment.py."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from engine.vllm.client.reaper import NAME
from tests.server.conftest import Running, running

COLOURS = [{"role": "user", "content": "Name three colours, please."}]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Killed by the last test."""
    options = ("--engine", "vllm", "--enforce-eager", "--model", "smollm2", "--context", "1024", "--embedding-model", "none")
    with running(tmp_path_factory.mktemp("vllm") / "log", *options) as server:
        yield server


def test_chat_grammar_seed_and_abort(small: Running) -> None:
    openai = OpenAI(base_url=f"{small.url}/v1", api_key="none", timeout=120)

    def said(**options: object) -> str:
        body = {"model": "smollm2", "messages": COLOURS, "max_tokens": 16, "temperature": 0.0, **options}
        return openai.chat.completions.create(**body).choices[0].message.content  # type: ignore[call-overload, no-any-return]

    assert "Red" in said()
    assert said(extra_body={"structured_outputs": {"regex": "[a-z]{6}"}}).islower()
    assert said(seed=7, temperature=1.0) == said(seed=7, temperature=1.0) != said(seed=8, temperature=1.0)
    body = {"model": "smollm2", "messages": COLOURS, "stream": True, "max_tokens": 900, "ignore_eos": True}
    with httpx.stream("POST", f"{small.url}/v1/chat/completions", json=body, timeout=60) as answer:
        next(answer.iter_lines())
    deadline = time.monotonic() + 30
    while small.metric("requests_running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert small.metric("sequences_closed_total") == 1


def test_nothing_is_left_of_a_server_that_is_killed(small: Running) -> None:
    mine = marked(small.process.pid)
    assert len(mine) >= 2  # a core, a worker
    small.process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while left := [process for process in mine if Path(f"/proc/{process}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def marked(server: int) -> list[int]:
    """The processes below a server, that have its mark."""
    found, wanted = list[int](), f"{NAME}=".encode()
    for status in Path("/proc").glob("[0-9]*/status"):
        process = int(status.parent.name)
        if process != os.getpid() and server in _ancestors(process) and wanted in (status.parent / "environ").read_bytes():
            found.append(process)
    return found


def _ancestors(process: int) -> list[int]:
    found = list[int]()
    while process > 1:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        process = next(int(line.split()[1]) for line in lines if line.startswith("PPid:"))
        found.append(process)
    return found
