"""The servers that are compared: how each is started, when it is ready, and what it weighs."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import RequestFailed, complete


@dataclass(frozen=True)
class Server:
    """`command` and `ready` say what to run on a port, and which path answers 200 once the model is loaded (None:
    none does; a first answer tells)."""

    name: str
    command: Callable[[int], list[str]]
    model: str  # what requests call it
    ready: str | None
    extras: Mapping[str, Any] = field(default_factory=dict[str, Any])  # beyond what every server takes
    env: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class Running:
    server: Server
    process: subprocess.Popen[bytes]
    url: str
    ready_s: float

    def body(self, prompt: str, tokens: int) -> dict[str, Any]:
        return {"model": self.server.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, **self.server.extras}

    def pause(self) -> None:
        """So that its idle threads take nothing from the server that is being measured."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def memory(self) -> int:
        """Resident bytes of the server and its children."""
        sizes = {pid: size for pid, _, size in _processes()}
        return sum(sizes.get(pid, 0) for pid in family(self.process.pid))

    def stop(self) -> None:
        self.resume()
        members = family(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self._kill(members)
        self._kill([pid for pid in members if pid != self.process.pid])

    def _signal(self, number: int) -> None:
        for pid in family(self.process.pid):
            _send(pid, number)

    def _kill(self, pids: list[int]) -> None:
        for pid in pids:
            _send(pid, signal.SIGKILL)


def stoa(model: Path, arguments: list[str]) -> Server:
    def command(port: int) -> list[str]:
        cli = [sys.executable, "-P", "-c", "from server.cli.main import main; main()", "serve", "--served-model-name", "m"]
        return [*cli, "--model", str(model), "--port", str(port), *arguments]

    return Server("stoa", command, "m", "/ready", EXTENDED, {"PYTHONPATH": str(Path(__file__).parents[1])})


def llama(binary: str, gguf: Path) -> Server:
    def command(port: int) -> list[str]:
        return [binary, "-m", str(gguf), "--port", str(port), "-np", "16", "-c", "24576", "--kv-unified", "--no-ui"]

    return Server("llama-server", command, "m", "/health", EXTENDED)


def vllm(binary: str, directory: Path) -> Server:
    # its own script asks for the version of a package called "vllm", which the CPU build is not
    python = str(Path(binary).with_name("python"))

    def command(port: int) -> list[str]:
        module = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(directory), "--served-model-name", "m"]
        return [*module, "--port", str(port), "--host", "127.0.0.1", "--max-model-len", "8192"]

    return Server("vLLM", command, "m", "/health", EXTENDED, {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"})


def transformers(binary: str, directory: Path) -> Server:
    def command(port: int) -> list[str]:
        return [binary, "serve", str(directory), "--port", str(port), "--host", "127.0.0.1", "--continuous-batching"]

    return Server("transformers", command, str(directory), None)


EXTENDED: Mapping[str, Any] = {"ignore_eos": True, "stream_options": {"include_usage": True}}


async def start(server: Server, log: Path, limit: float = 600) -> Running:
    """Raises RequestFailed, with the end of its log, when it dies, is not ready within `limit` seconds or does not
    answer. What is only done at a first request is over when this returns."""
    port, began = _free_port(), time.perf_counter()
    with log.open("wb") as sink:
        env = {**os.environ, "HF_HUB_OFFLINE": "1", **server.env}
        process = subprocess.Popen(server.command(port), stdout=sink, stderr=sink, env=env)
    running = Running(server, process, f"http://127.0.0.1:{port}", 0.0)
    try:
        while not await _ready(running):
            if process.poll() is not None or time.perf_counter() - began > limit:
                raise RequestFailed("did not start")
            await asyncio.sleep(0.05)
        running.ready_s = time.perf_counter() - began
        await complete(running.url, running.body("Once upon a time", 8))
    except BaseException as error:
        running.stop()
        if isinstance(error, RequestFailed):
            raise RequestFailed(f"{error}; its log ends: {log.read_text(errors='replace')[-300:].strip()}") from error
        raise
    return running


async def _ready(running: Running) -> bool:
    try:
        if running.server.ready is None:
            await complete(running.url, running.body("Hello", 1))
            return True
        return await asyncio.to_thread(_answers, running.url + running.server.ready)
    except (OSError, RequestFailed, EOFError):
        return False


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.status == 200


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find(given: str | None, *names: str) -> str | None:
    """`given`, or the first of `names` on PATH."""
    return given or next((path for name in names if (path := shutil.which(name))), None)


def family(root: int) -> list[int]:
    """`root` and all its descendants."""
    members = [root]
    processes = _processes()
    for parent in members:
        members.extend(pid for pid, ppid, _ in processes if ppid == parent)
    return members


def _processes() -> list[tuple[int, int, int]]:
    """Every process: its id, its parent's, its resident bytes."""
    if Path("/proc/self/stat").exists():
        return [found for path in Path("/proc").glob("[0-9]*") if (found := _linux_process(path))]
    lines = subprocess.run(["ps", "-axo", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout.splitlines()
    return [(int(pid), int(ppid), int(rss) * 1024) for pid, ppid, rss in (line.split() for line in lines)]


def _linux_process(path: Path) -> tuple[int, int, int] | None:
    """proc(5): field 4 of stat is the parent, field 24 the resident pages; field 2, the name, may hold anything."""
    try:
        fields = (path / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(path.name), int(fields[1]), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
