"""How much faster the compiled CPU kernels are than plain torch in bf16, on models with random weights: one thread, its processor time.
And how near their products of 4 and 8 bits come to what the processor's registers allow, at each instruction set that it has.

python -m bench.kernels [--json FILE]     for each model a prompt of 512 tokens, and decoding with 1 and with 16 sequences of 256 tokens
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from bench.report import machine
from engine.embedded.kernels.library import Library, levels
from engine.embedded.kernels.packing import pack
from engine.embedded.native.backend import NativeBackend
from engine.embedded.native.ops import Kernels
from engine.embedded.on_torch.backend import TorchBackend
from engine.embedded.on_torch.pages import Storage
from models.batch import Backend, Batch
from models.build import build
from models.quant import quantize
from models.spec import MLP, Alibi, Arch, Attention, Layer, Learned, Norm, Rope, groups
from models.stacks.decoder import Decoder

CONTEXT, PAGE, ROUNDS = 1024, 16, 3
SHAPES = ((576, 3072), (1536, 576))  # SmolLM2-135M's largest: inputs, outputs
REPEATS = 30
PAGES = 17 * CONTEXT // PAGE
NORM = Norm(kind="layer", eps=1e-5)


def _arch(layers: int, layer: Layer, dim: int, **more: object) -> Arch:
    return Arch(dim=dim, vocab=50257, layers=(layer,) * layers, norm=NORM, tied=True, context=CONTEXT, **more)  # type: ignore[arg-type]


def _gpt(dim: int, heads: int, kv_heads: int, position: Rope | Alibi | None) -> tuple[Attention, MLP]:
    mixer = Attention(heads=heads, kv_heads=kv_heads, head_dim=dim // heads, position=position, bias=True, out_bias=True)
    return mixer, MLP(hidden=4 * dim, activation="gelu_tanh", gated=False, bias=True)


def _layer(parts: tuple[Attention, MLP], placement: str) -> Layer:
    return Layer(mixer=parts[0], ffn=parts[1], norm=NORM, placement=placement)  # type: ignore[arg-type]


ARCHS = {
    "GPT-2 (124M)": _arch(12, _layer(_gpt(768, 12, 12, None), "pre"), 768, position=Learned(count=CONTEXT)),
    "BLOOM-like": _arch(6, _layer(_gpt(1024, 16, 16, Alibi()), "pre"), 1024, embed_norm=NORM),
    "Falcon-like": _arch(6, _layer(_gpt(1024, 16, 1, Rope(dim=64)), "parallel_shared"), 1024),
}


class Runs:
    """One model on one backend."""

    def __init__(self, arch: Arch, backend: Backend, kernels: Kernels | None) -> None:
        self._arch, self._kernels = arch, kernels
        self._model = _filled(arch, backend)

    def prompt(self) -> float:
        return self._seconds(self._rows(1, 0, 512), 1)

    def decode(self, sequences: int) -> float:
        return self._seconds(self._rows(sequences, 256, 1), 8)

    def _rows(self, sequences: int, cached: int, new: int) -> tuple[torch.Tensor, Batch]:
        (group,) = groups(self._arch)
        width = CONTEXT // PAGE
        table_SW = torch.arange(sequences * width, dtype=torch.int32).view(sequences, width)
        starts, seen = torch.arange(sequences + 1, dtype=torch.int32) * new, torch.full((sequences,), cached, dtype=torch.int32)
        positions = torch.arange(cached, cached + new).repeat(sequences)
        return torch.randint(0, 50257, (sequences * new,)), Batch(
            positions, starts, seen, {group: table_SW[:, : -(-(cached + new) // PAGE)]}
        )

    def _seconds(self, rows: tuple[torch.Tensor, Batch], times: int) -> float:
        """The least of so many."""
        step = lambda: self._model.logits(self._model(*rows)[-16:])  # noqa: E731
        run: Callable[[], object] = step if self._kernels is None else self._kernels.record(step).replay
        return min(_timed(run) for _ in range(times))


def _filled(arch: Arch, backend: Backend) -> Decoder:
    model = build(arch, backend, context=CONTEXT)
    for module in model.modules():
        for field, shape in getattr(module, "fields", {}).items():
            module.assign(field, torch.randn(shape, dtype=torch.bfloat16) * 0.02)  # type: ignore[operator]
        for parameter in module.parameters(recurse=False):
            parameter.data.fill_(1.0)
    return model


def _timed(run: Callable[[], object]) -> float:
    began = time.thread_time()
    run()
    return time.thread_time() - began


@torch.inference_mode()
def ratios(arch: Arch, library: Library) -> dict[str, float]:
    """How many times faster; the two take turns."""
    pages = dict.fromkeys(groups(arch), PAGES)
    native = NativeBackend(library, pages)
    two = (Runs(arch, native, native.kernels), Runs(arch, TorchBackend(Storage(pages=pages, device=torch.device("cpu"))), None))
    work: dict[str, Callable[[Runs], float]] = {
        "prompt of 512": Runs.prompt,
        "decode 1": lambda r: r.decode(1),
        "decode 16": lambda r: r.decode(16),
    }
    found: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, measured in work.items():
            fast, slow = (measured(runs) for runs in two)
            found[name].append(slow / fast)
    return {name: round(median(values), 2) for name, values in found.items()}


@torch.inference_mode()
def products(level: str) -> list[dict[str, str | float]]:
    """Matrix products of 256 rows: billions of operations per second, all of the step's quantization of activations included."""
    library = Library.open(1, level)
    assert library is not None
    kernels, peak, out = Kernels(library), library.peak(), list[dict[str, str | float]]()
    for bits in (4, 8, 16):
        for inputs, outputs in SHAPES:
            weight, x_TI = torch.randn(outputs, inputs), torch.randn(256, inputs)
            packed = pack(quantize(weight, bits) if bits < 16 else weight.bfloat16())
            before, rate = library.tiled, 0.0
            for _ in range(REPEATS):
                rate = max(rate, 2 * 256 * inputs * outputs / _timed(lambda x=x_TI, w=packed: kernels.linear(x, w, None)))
            path = "+".join(name for name, count in library.tiled.items() if count > before[name]) or "vectors"
            shape = f"{inputs} x {outputs}, {bits} bits"
            out.append({"level": level, "matrix": shape, "path": path, "GOP/s": round(rate / 1e9), "share of peak": round(rate / peak, 2)})
    return out


def _table(rows: list[dict[str, str | float]], title: str) -> Table:
    shown = Table(title=title, caption=f"{machine()}, one thread")
    for column in rows[0]:
        shown.add_column(column)
    for row in rows:
        shown.add_row(*map(str, row.values()))
    return shown


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.kernels", description="Compare the compiled CPU kernels with plain torch.")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    library = Library.open(threads=1)
    if library is None:
        parser.error("the kernels were not built, or this processor lacks AVX2")
    rates = [row for level in levels() for row in products(level)]
    console = Console(width=120)
    console.print(_table(rates, "products of matrices; peak: of bytes in registers, at that level"))
    rows = {name: ratios(arch, library) for name, arch in ARCHS.items()}
    console.print(_table([{"model": name} | row for name, row in rows.items()], f"times as fast as plain torch, {library.level}"))
    if options.json:
        found = {"products": rates, "ratios": rows, "level": library.level, "machine": machine()}
        Path(options.json).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
