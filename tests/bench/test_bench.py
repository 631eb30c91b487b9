"""The benchmark counts right, leaves nothing running, and says what it could not run."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from tokenizers import Tokenizer, models, pre_tokenizers

from bench import report, servers
from bench.__main__ import run
from bench.load import Reply, RequestFailed, complete
from bench.measures import ROWS
from bench.prompts import WORDS, Prompts
from bench.servers import Server

FAKE = Path(__file__).with_name("fake_server.py")


def fake(name: str, script: Path = FAKE) -> Server:
    return Server(name, lambda port: [sys.executable, str(script), str(port)], "m", "/ready")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tokenizer to whom each word is a token, and so is an added capital letter."""
    vocab = {word: i for i, word in enumerate([*WORDS, *(word.capitalize() for word in WORDS), "?"])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_prompts_are_as_long_as_asked_and_all_different(model: Path) -> None:
    prompts = Prompts(model, 0)
    made = [prompts.make(200) for _ in range(50)]
    assert {len(prompt.split()) for prompt in made} == {200}
    assert len({tuple(prompt.split()[:8]) for prompt in made}) == 50
    assert Prompts(model, 0).make(200) == made[0]  # the same for every server


def test_prompts_share_a_prefix_when_asked(model: Path) -> None:
    prompts = Prompts(model, 1)
    shared = prompts.make(100)
    one, two = prompts.make(116, shared), prompts.make(116, shared)
    assert one != two and one.split()[:100] == two.split()[:100] == shared.split()


def test_a_whole_run(model: Path) -> None:
    """Every row of the table gets its numbers, and a server that cannot start is named."""
    missing: dict[str, str] = {}
    before = children()
    chosen = [fake("stoa"), fake("peer"), fake("broken", Path("nowhere.py"))]
    results = asyncio.run(run(chosen, missing, model, rounds=1))
    assert set(results) == {"stoa", "peer"} and "nowhere.py" in missing["broken"]
    for numbers in results.values():
        assert {row.key for row in ROWS} == {key for key, values in numbers.items() if values}
        assert numbers["gap"][0] > 1 and numbers["memory"][0] > 10
    assert children() <= before
    shown = table(results, missing)
    assert "×" in shown and "broken" in shown and "missing" in shown


def children() -> set[int]:
    """Other tests' servers may be among them."""
    return {pid for pid, parent, _ in servers._processes() if parent == os.getpid()}


def table(results: report.Results, missing: dict[str, str]) -> str:
    console = Console(width=200, file=open(os.devnull, "w"), record=True)  # noqa: SIM115
    with console.file:
        console.print(report.table(results, missing))
    return console.export_text()


def test_a_ratio_says_who_is_better() -> None:
    results = {"stoa": {"rate": [30.0, 50.0, 40.0], "ttft": [10.0]}, "peer": {"rate": [20.0], "ttft": [5.0]}}
    lines = {line.split("│")[1].strip(): line for line in table(results, {}).splitlines() if "│" in line}
    assert next(line for title, line in lines.items() if title.startswith("one client")).count("2.00×") == 1
    assert next(line for title, line in lines.items() if title.startswith("first token, 200")).count("2.00×") == 1


def test_a_reply_is_measured_from_when_it_was_sent() -> None:
    reply = Reply(sent=1.0, stamps=[1.5, 1.6, 1.8], done=2.0, tokens=3)
    assert (reply.ttft, reply.rate, reply.gaps) == (0.5, 3.0, pytest.approx([0.1, 0.2]))


async def ask(*pieces: bytes) -> Reply:
    """What the client makes of a server that answers with these bytes."""
    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.001)
        writer.close()
        left.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        try:
            return await complete(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", {"prompt": "x"})
        finally:
            await left.wait()


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(body: bytes, size: int) -> Iterator[bytes]:
    for i in range(0, len(body), size):
        yield b"%x\r\n%s\r\n" % (len(body[i : i + size]), body[i : i + size])
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_may_be_cut_anywhere(size: int) -> None:
    events = 'data: {"choices":[{"text":" é"}]}\n\n' * 3 + 'data: {"choices":[],"usage":{"completion_tokens":9}}\n\ndata: [DONE]\n\n'
    reply = asyncio.run(ask(HEAD, *chunks(events.encode(), size)))
    assert (len(reply.stamps), reply.tokens) == (3, 9)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n{'no': 'good'}", "400 Bad Request: {'no': 'good'}"),
        (HEAD + b"".join(chunks(b'data: {"error": "broken"}\n\n', 99)), "broken"),
        (HEAD + b"5\r\ndata:\r\n", "connection ended"),
        (HEAD + b"0\r\n\r\n", "sent no token"),
    ],
)
def test_a_refusal_is_told(answer: bytes, message: str) -> None:
    with pytest.raises(RequestFailed, match=message):
        asyncio.run(ask(answer))
