"""What a turn of the tool loop costs beyond the model's own time and the tool's.

python -m bench.tool_loop                    an engine that takes no time calls the built-in file server, turn after turn
python -m bench.tool_loop --turns 20 --json results.json

All else is real: SmolLM2's tokenizer and template, the grammar's source, the MCP client and server, checks and limits.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.api import Delta, ModelInfo, Request, Stats, Usage
from server.chat.loop import prepare
from server.core.events import OutputDelta, ToolCallFinished
from server.core.messages import User
from server.core.request import ApprovalPolicy, GenerationRequest, McpToolset, ToolFilter
from server.core.request import Caller as Whose
from server.core.timing import NoTimings
from server.core.tool_limits import ToolLimits
from server.mcp.open_host import open_host
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.text.tokenizer import ChatTokenizer, load_tokenizer
from server.weights.pull import pull


@dataclass
class Caller:
    """Calls the tool with other arguments each time; takes no time itself."""

    text: ChatTokenizer
    info: ModelInfo
    alive: bool = True
    fault: str | None = None
    turns: int = 0

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        self.turns += 1
        call = {"name": "files__read_text", "arguments": {"path": "notes.txt", "start_line": self.turns}}
        said = self.text.encode(f"<tool_call>\n{json.dumps(call)}\n</tool_call>")
        yield Delta(tokens=said, finish="stop", usage=Usage(prompt=len(request.tokens), completion=len(said), cached=0))

    def stats(self) -> Stats:
        return Stats()

    async def close(self) -> None: ...


@dataclass
class Lap:
    """One turn, in seconds: the model has written a call, the tool has run, the model may speak again."""

    wall: float
    tool: float


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.tool_loop", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    laps = asyncio.run(_run(options.turns, options.rounds))
    told = _told(laps) | {"command": " ".join(("python -m bench.tool_loop", *(sys.argv[1:] if argv is None else argv)))}
    print(json.dumps(told, indent=1))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


async def _run(turns: int, rounds: int) -> list[Lap]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "notes.txt").write_text("Everybody has 31 days of paid leave a year.\n" * 40)
        settings = Settings(embedding_model="none", mcp_files=(folder,))
        text, host = load_tokenizer(pull("smollm2")), open_host(settings, None)
        limits = ToolLimits(max_turns=turns, max_calls=turns)
        runtime = Runtime(
            names=("m",),
            engine=Caller(text, ModelInfo(context=8192, vocab=49_152)),
            tokenizer=text,
            created=0,
            tool_host=host,
            tool_limits=limits,
        )
        await host.start()
        try:
            await _round(runtime)  # imports and connections
            return [lap for _ in range(rounds) for lap in await _round(runtime)]
        finally:
            await runtime.close()


async def _round(runtime: Runtime) -> list[Lap]:
    only = ToolFilter(names=frozenset({"read_text", "list_directory", "search_content"}))
    wish = GenerationRequest(
        model=None,
        messages=[User(text="Read notes.txt line by line.")],
        mcp_servers=(McpToolset(server_label="files", field="tools.0", allowed=only, approval_policy=ApprovalPolicy(default="never")),),
    )
    laps, begun, tool = list[Lap](), 0.0, 0.0
    async with aclosing((await prepare(runtime, wish, Whose(owner=""))).run(NoTimings())) as events:
        async for _, event in events:
            if isinstance(event, ToolCallFinished):
                assert event.outcome.fault is None, event.outcome.text
                tool = event.outcome.seconds
            elif isinstance(event, OutputDelta) and event.finish:
                laps += [Lap(time.perf_counter() - begun, tool)] if begun else []
                begun = time.perf_counter()
    return laps


def _told(laps: list[Lap]) -> dict[str, Any]:
    over = sorted((lap.wall - lap.tool) * 1e3 for lap in laps)
    tool = statistics.median(lap.tool for lap in laps) * 1e3
    p95 = over[int(0.95 * (len(over) - 1))]
    return {
        "turns": len(laps),
        "overhead_ms_median": round(statistics.median(over), 2),
        "overhead_ms_p95": round(p95, 2),
        "tool_ms": round(tool, 2),
    }


if __name__ == "__main__":
    main()
