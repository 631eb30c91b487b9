"""What a mixture of experts costs a step: 64 experts of which 4 compute a token, against a dense layer as wide as those four, on the
compiled CPU kernels; both in turns, each recorded once. The prediction is the bytes of the experts that are touched over those of four.

python -m bench.experts --json results.json
python -m bench.experts --threads 1         by the thread's own clock, which other work on the machine does not move
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bench.report import machine
from engine.embedded.kernels.library import Library
from engine.embedded.load import cores
from engine.embedded.native.backend import NativeBackend
from models.batch import Batch
from models.parts.ffn import FeedForward
from models.parts.moe import MixtureOfExperts
from models.quant import Stack, quantize
from models.reference import Reference, whole
from models.spec import MLP, MoE, Softmax

EXPERTS, ACTIVE, LAYERS = 64, 4, 4  # several layers, so that a step finds none of its weights in the nearest cache
SHAPES = ((1024, 512), (512, 256))  # model, width of an expert
BITS = (4, 8, 16)
ROWS = (1, 4, 16, 64)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experts", description="Measure mixtures of experts on the CPU kernels.")
    parser.add_argument("--rounds", type=int, default=15, help="the fastest of so many steps is shown")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    options = parser.parse_args(argv)
    library = Library.open(options.threads)
    if library is None:
        raise SystemExit("no compiled kernels here: they need a compiler at installation and a processor with AVX2")
    torch.set_num_threads(options.threads)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    with torch.inference_mode():
        rows = [row for dim, hidden in SHAPES for bits in BITS for row in measured(Case(library, clock, dim, hidden, bits), options.rounds)]
    show(rows)
    if options.json:
        numbers = {
            "machine": machine(),
            "command": f"python -m bench.experts --threads {options.threads}",
            "level": library.level,
            "rows": rows,
        }
        Path(options.json).write_text(json.dumps(numbers, indent=1), encoding="utf-8")


@dataclass(frozen=True)
class Case:
    library: Library
    clock: Callable[[], float]  # seconds
    dim: int
    hidden: int
    bits: int


def measured(case: Case, rounds: int) -> Iterator[dict[str, Any]]:
    """Milliseconds of a layer, for each number of rows."""
    backend = NativeBackend(case.library, {})
    spec = MoE(experts=EXPERTS, active=ACTIVE, hidden=case.hidden, router=Softmax(renormalise=True))
    mixtures = [filled(MixtureOfExperts("ffn", spec, case.dim, backend), case.bits) for _ in range(LAYERS)]
    dense = [filled(FeedForward("ffn", MLP(hidden=ACTIVE * case.hidden), case.dim, backend), case.bits) for _ in range(LAYERS)]
    twin = filled(MixtureOfExperts("ffn", spec, case.dim, Reference(torch.bfloat16)), 16) if case.bits == 16 else None
    for count in ROWS:
        x_TD, batch = torch.randn(count, case.dim), whole([count])
        steps = {
            "mixture": backend.kernels.record(lambda x=x_TD, b=batch: each(mixtures, x, b)).replay,
            "dense": backend.kernels.record(lambda x=x_TD, b=batch: each(dense, x, b)).replay,
        }
        ms = {name: value / LAYERS for name, value in fastest(case.clock, steps, x_TD, rounds).items()}
        if twin is not None:
            x_bf16 = x_TD.bfloat16()
            ms |= fastest(case.clock, {"torch": lambda twin=twin, x=x_bf16, b=batch: twin(x, b)}, x_TD, 3)
        touched = sum(int(mixture.ops.route(spec, mixture.router(x_TD), None)[0].unique().numel()) for mixture in mixtures) / LAYERS
        yield {"dim": case.dim, "hidden": case.hidden, "bits": case.bits, "batch": count, "touched": touched} | ms


def each(modules: list[Any], x_TD: Tensor, batch: Batch) -> Tensor:
    """Each reads the same rows; returns what the last one says."""
    return [module(x_TD, batch) for module in modules][-1]


def fastest(clock: Callable[[], float], steps: dict[str, Callable[[], Tensor]], x_TD: Tensor, rounds: int) -> dict[str, float]:
    """Milliseconds, in turns. What else the machine does can only make a step slower."""
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds):
        x_TD.normal_()
        for name, step in steps.items():
            start = clock()
            step()
            best[name] = min(best[name], (clock() - start) * 1e3)
    return best


def filled(module: Any, bits: int) -> Any:
    """Every expert has the same numbers, but its own memory."""
    for leaf in module.modules():
        for field, shape in getattr(leaf, "fields", {}).items():
            dense = torch.randn(shape[-2:]) / 32
            value = quantize(dense, bits) if bits < 16 else dense
            leaf.assign(field, Stack(shape, lambda e, value=value: value) if len(shape) == 3 else value)
        own: list[nn.Parameter] = [] if hasattr(leaf, "fields") else list(leaf.parameters(recurse=False))
        for parameter in own:
            parameter.data.normal_()
    return module


def show(rows: list[dict[str, Any]]) -> None:
    shown = Table(title=f"{EXPERTS} experts, {ACTIVE} active, against a dense layer of their width; ms of a layer", caption=machine())
    for column in ("model x expert", "bits", "batch", "mixture", "dense", "ratio", "experts touched", "bytes", "torch, bf16"):
        shown.add_column(column, justify="right")
    for row in rows:
        ratio, read = row["mixture"] / row["dense"], row["touched"] / ACTIVE
        torch_ms = f"{row['torch']:.2f} ({row['torch'] / row['mixture']:.1f}×)" if "torch" in row else ""
        times = (f"{row['mixture']:.3f}", f"{row['dense']:.3f}", f"{ratio:.2f}×", f"{row['touched']:.0f}", f"{read:.1f}×", torch_ms)
        shown.add_row(f"{row['dim']} x {row['hidden']}", str(row["bits"]), str(row["batch"]), *times)
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
