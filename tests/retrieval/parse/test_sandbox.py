"""The subprocess: what runs in it may hang, burst, crash or lie, and the program does not notice but for a reason.

Here plain text is a program that runs where a parser would: the worst that a file can make of one."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from retrieval.api import Unreadable
from retrieval.parse import sandbox
from retrieval.parse.limits import Limits
from retrieval.parse.sandbox import SubprocessParser
from retrieval.sandbox.process import ROOT
from tests.retrieval.samples import parts

Found = TypeVar("Found")
LIMITS = Limits(seconds=2, memory_bytes=256 * 2**20, characters=10_000)
EVIL = sandbox.BOOTSTRAP.replace(
    "main()", "import retrieval.parse.plain.text as t; t.read = lambda data, draft: exec(data, {'draft': draft}); main()"
)
WRITE_ALL = "import os\nfor fd in range(3, 64):\n    try: os.write(fd, {what})\n    except OSError: pass\n"
CONNECT = """
import socket
try: socket.create_connection(("127.0.0.1", {port}), timeout=1); draft.add_block("paragraph", "reached")
except OSError: draft.add_block("paragraph", "unreachable")
"""
ORPHAN = """
import asyncio, sys
from retrieval.parse import Limits, SubprocessParser, sandbox
sandbox.BOOTSTRAP = sys.argv[1]
async def content():
    yield b"import time; time.sleep(60)"
async def main():
    parser = SubprocessParser(Limits(), 1)
    task = asyncio.create_task(parser.parse(content(), "a.txt"))
    while not (process := parser._pool._processes[0]._process):
        await asyncio.sleep(0.01)
    print(process.pid, flush=True)
    await task
asyncio.run(main())
"""


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> Iterator[SubprocessParser]:
    monkeypatch.setattr(sandbox, "BOOTSTRAP", EVIL)
    monkeypatch.setenv("STOA_API_KEYS", "secret")
    parser = SubprocessParser(LIMITS, workers=1)
    yield parser
    parser.close()


def run(parser: SubprocessParser, program: str) -> str:
    async def parse() -> str:
        return (await parser.parse(parts(program.encode()), "a.txt")).text

    return asyncio.run(parse())


def survives(parser: SubprocessParser) -> bool:
    return run(parser, "draft.add_block('paragraph', 'fine')") == "fine"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import time; time.sleep(60)", "longer than 2 seconds"),
        ("while True: pass", "longer than 2 seconds"),
        (
            "import signal\nfor number in (*range(1, 9), *range(10, 19)): signal.signal(number, signal.SIG_IGN)\nwhile True: pass",
            "longer than",
        ),
        ("x = bytearray(1 << 40)", "more than 256 MiB of memory"),
        ("x = []\nwhile True: x.append(bytearray(1 << 20))", "more than 256 MiB of memory"),
        ("import os; os.kill(os.getpid(), 11)", "made its parser crash"),
        ("import os; os._exit(3)", "made its parser crash"),
        (WRITE_ALL.format(what="b'garbage'"), "makes no sense"),
        ("while True:\n" + "    " + WRITE_ALL.format(what="bytes(1 << 16)").replace("\n", "\n    "), "more than 10,000 characters"),
        ("import os; os.kill(os.getppid(), 9)", "ended the parser"),
        ("import os\nif os.fork() == 0:\n    import time; time.sleep(60)\nos._exit(0)", "longer than"),
        ("raise ValueError('odd')", "damaged or not what it seems: ValueError: odd"),
        ("def f(): f()\nf()", "nested too deeply"),
    ],
)
def test_whatever_a_parser_does_ends_in_a_reason(parser: SubprocessParser, program: str, why: str) -> None:
    began = time.monotonic()
    with pytest.raises(Unreadable, match=why):
        run(parser, program)
    assert survives(parser) and time.monotonic() - began < 15


def test_a_parser_out_of_processor_time_is_not_said_to_lack_memory(parser: SubprocessParser) -> None:
    """The processor's clock may come in before the wall's."""
    sooner = "import resource as r; soft, hard = r.getrlimit(r.RLIMIT_CPU); r.setrlimit(r.RLIMIT_CPU, (soft - 1, hard - 1))"
    with pytest.raises(Unreadable, match="longer than 2 seconds"):
        run(parser, sooner + "\nwhile True: pass")


def test_nothing_of_the_program_reaches_the_parser(parser: SubprocessParser) -> None:
    seen = run(
        parser,
        "import os, sys; draft.add_block('paragraph', repr((dict(os.environ), os.getcwd(), sys.flags.isolated, 'numpy' in sys.modules)))",
    )
    assert seen == repr(({"LC_ALL": "C.UTF-8"}, "/", 1, False))


def test_a_parser_reaches_no_network(parser: SubprocessParser) -> None:
    """Where the system lets a process leave the network, which it may forbid."""
    leave = "import ctypes, os; exit(ctypes.CDLL(None).unshare(0x50000000 if os.geteuid() else 0x40000000) != 0)"
    possible = subprocess.run([sys.executable, "-c", leave]).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = run(parser, CONNECT.format(port=server.getsockname()[1]))
    assert said == ("unreachable" if possible else "reached")


def test_a_parser_writes_no_file(parser: SubprocessParser, tmp_path: Path) -> None:
    target = tmp_path / "written"
    with pytest.raises(Unreadable):
        run(parser, f"open({str(target)!r}, 'wb', buffering=0).write(b'some')")
    assert not target.exists() or target.read_bytes() == b""


def test_one_file_finds_nothing_of_the_one_before(parser: SubprocessParser) -> None:
    run(parser, "import builtins; builtins.left = 'secret'; draft.add_block('paragraph', 'x')")
    assert run(parser, "draft.add_block('paragraph', str('left' in dir(__import__('builtins'))))") == "False"


def test_cancelling_kills_what_reads(parser: SubprocessParser) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(parser.parse(parts(b"import time; time.sleep(60)"), "a.txt"))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    began = time.monotonic()
    asyncio.run(cancelled())
    assert survives(parser) and time.monotonic() - began < LIMITS.seconds


def test_files_are_read_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "BOOTSTRAP", EVIL)
    parser = SubprocessParser(LIMITS, workers=2)
    both = b"import time; draft.add_block('paragraph', str(time.time())); time.sleep(0.5); draft.add_block('paragraph', str(time.time()))"

    async def two() -> list[str]:
        return [made.text for made in await asyncio.gather(*(parser.parse(parts(both), "a.txt") for _ in range(2)))]

    asyncio.run(two())  # both subprocesses have started
    (first_began, first_ended), (second_began, second_ended) = (map(float, text.split()) for text in asyncio.run(two()))
    parser.close()
    assert first_began < second_ended and second_began < first_ended


def test_a_closed_parser_says_so(parser: SubprocessParser) -> None:
    parser.close()
    with pytest.raises(Unreadable, match="the server ended"):
        run(parser, "draft.add_block('paragraph', 'x')")


def test_subprocesses_make_way_for_fresh_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "BOOTSTRAP", EVIL)
    parser = SubprocessParser(Limits(documents=2), workers=1)
    pids = [run(parser, "import os; draft.add_block('paragraph', str(os.getppid()))") for _ in range(4)]
    parser.close()
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_nothing_is_left_when_the_program_is_killed() -> None:
    program = subprocess.Popen([sys.executable, "-c", ORPHAN, EVIL], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    server = int(program.stdout.readline())
    children = Path(f"/proc/{server}/task/{server}/children")
    child = _eventually(lambda: int(children.read_text() or 0))
    program.send_signal(signal.SIGKILL)
    program.wait()
    program.stdout.close()
    assert _eventually(lambda: not _runs(server) and not _runs(child))


def _eventually(found: Callable[[], Found]) -> Found:
    for _ in range(500):
        if value := found():
            return value
        time.sleep(0.02)
    raise TimeoutError


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
