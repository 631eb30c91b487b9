"""The file server as its own process, over stdio and HTTP, as other clients start it."""

import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client, StdioServerParameters

from mcp_servers.files import main
from tests.mcp_servers.files_client import Files

ROOT = Path(__file__).parents[2]
MODULE = ["-m", "mcp_servers.files"]


@asynccontextmanager
async def over_stdio(*arguments: str, era: Any) -> AsyncGenerator[Files]:
    async with Client(StdioServerParameters(command=sys.executable, args=[*MODULE, *arguments], cwd=ROOT), mode=era) as client:
        yield Files(client)


@pytest.mark.anyio
@pytest.mark.parametrize(("era", "revision"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
async def test_over_stdio(tmp_path: Path, era: str, revision: str) -> None:
    (tmp_path / "a.txt").write_text("walrus")
    (tmp_path / "b.secret").write_text("walrus")
    async with over_stdio(f"{tmp_path}:rw", "--write", "--deny", "*.secret", era=era) as there:
        assert there.client.protocol_version == revision
        assert there.client.instructions and "relative to the root" in there.client.instructions
        assert (await there.call("read_text", path="a.txt"))["text"] == "walrus"
        assert "denies" in await there.refusal("read_text", path="b.secret")
        await there.call("write_file", path="c.txt", content="seal")
    assert (tmp_path / "c.txt").read_text() == "seal"


@pytest.mark.anyio
async def test_over_http(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("walrus")
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/mcp"
    process = subprocess.Popen([sys.executable, *MODULE, str(tmp_path), "--http", f"127.0.0.1:{port}"], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        await _until_it_answers(url)
        for era, revision in (("auto", "2026-07-28"), ("legacy", "2025-11-25")):
            async with Client(url, mode=era) as client:
                assert client.protocol_version == revision
                assert (await Files(client).call("read_text", path="a.txt"))["text"] == "walrus"
        assert httpx.post(url, json={}, headers={"origin": "http://evil.example.com"}).status_code == 403
        assert httpx.post(url, json={}, headers={"host": "evil.example.com"}).status_code == 421
    finally:
        process.terminate()
        process.wait(60)


async def _until_it_answers(url: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            httpx.get(url)
        except httpx.TransportError:
            assert time.monotonic() < end
            await anyio.sleep(0.05)
        else:
            return


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/none"], "/none: no such directory"),
        ([], "required: ROOT"),
        ([".", "--http", "0.0.0.0:80"], "behind API keys"),
        ([".", "--deny", "/"], "--deny: glob '/'"),
    ],
)
def test_the_command_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    shown = capsys.readouterr()
    assert ended.value.code == 2 and said in shown.err and not shown.out


@pytest.mark.skipif(sys.platform == "win32", reason="a signal for one process alone is POSIX")
def test_one_interrupt_ends_it(tmp_path: Path) -> None:
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell that put the tests into the background has it ignored
    command, pipe = [sys.executable, *MODULE, str(tmp_path)], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, preexec_fn=heard) as process:
        assert process.stdin and process.stdout
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert process.stdout.readline()  # it serves
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 130
        finally:
            process.kill()


def test_it_ends_with_its_input(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *MODULE, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
