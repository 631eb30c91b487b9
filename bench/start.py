"""Start to ready, and what is resident then, beside the size of the weights: `python -m bench.start gemma3-270m smollm2 --rounds 3`.

Processor seconds are counted beside those of the clock, as these depend on what else the machine does."""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.servers import start, stoa
from server.weights.pull import pull


@dataclass(frozen=True)
class Start:
    """Bytes are those of the process and its children once it has answered a short prompt."""

    model: str
    ready_s: float
    processor_s: float
    resident: int
    weights: int  # size of the files
    ratio: float  # resident bytes to those of the weights


async def measured(model: str, arguments: Sequence[str], log: Path) -> Start:
    directory = pull(model)
    weights = sum(file.stat().st_size for pattern in ("*.gguf", "*.safetensors") for file in directory.glob(pattern))
    running = await start(stoa(directory, ["--embedding-model", "none", *arguments]), log)
    try:
        resident = running.memory()
        return Start(model, running.ready_s, processor_seconds(running.process.pid), resident, weights, resident / weights)
    finally:
        running.stop()


def processor_seconds(pid: int) -> float:
    """In user and in system mode, of all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def middle(rounds: Sequence[Start]) -> Start:
    """Medians of the same model's rounds."""
    first, resident = rounds[0], int(median(r.resident for r in rounds))
    ready, processor = median(r.ready_s for r in rounds), median(r.processor_s for r in rounds)
    return Start(first.model, ready, processor, resident, first.weights, resident / first.weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="whatever `stoa serve --model` takes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the results there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        found = [middle([asyncio.run(measured(model, (), log)) for _ in range(options.rounds)]) for model in options.models]
    for s in found:
        memory = f"{s.resident / 1e6:,.0f} MB, {s.ratio:.1f}× the weights"
        print(f"{s.model}: ready after {s.ready_s:.2f} s ({s.processor_s:.2f} s of processor), {memory}")
    if options.json:
        options.json.write_text(json.dumps([asdict(s) for s in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
