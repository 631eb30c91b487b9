"""What state-space models cost on the embedded engine, with random weights in the shapes of published ones: decoding and prompts against
transformers, decoding behind a long text against behind a short one, and a prompt whose beginning is kept against one that is new.

python -m bench.recurrent --json results.json     needs transformers; some minutes, most of them transformers' own
python -m bench.recurrent --threads 1             by the thread's own clock, which other work on the machine does not move
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import Lfm2Config, Mamba2Config, MambaConfig, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from bench.report import machine
from engine.api import Request, Sampling
from engine.embedded.core import Core
from engine.embedded.load import LoadOptions, cores, load_model
from engine.embedded.memory.memory import Memory
from engine.embedded.on_torch.backend import TorchBackend
from engine.embedded.on_torch.pages import Storage
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.scheduler import Limits
from engine.embedded.sequence import Sequence as Answer
from engine.embedded.step.capture import Recorder
from engine.embedded.step.inputs import Inputs, largest_step
from engine.embedded.step.runner import Model, Runner
from models.build import build
from models.spec import MLP, Arch, FirstValues, Layer, Norm, Rwkv7, TokenShift

VOCAB, LONG, SHORT, STEPS = 50_280, 32_000, 100, 16
CONTEXT = LONG + 512
AGAINST = ("Mamba-130m", "Mamba-2-130m")
LIMITS = Limits(max_running=16, max_waiting=16, max_step_tokens=512, mixed_step_tokens=512)
SHAPES: dict[str, Callable[[], PreTrainedConfig]] = {
    "Mamba-130m": lambda: MambaConfig(vocab_size=VOCAB, hidden_size=768, num_hidden_layers=24, state_size=16),
    "Mamba-2-130m": lambda: Mamba2Config(
        vocab_size=VOCAB, hidden_size=768, num_hidden_layers=24, state_size=128, num_heads=24, head_dim=64, n_groups=1, chunk_size=256
    ),
    "LFM2-350M": lambda: Lfm2Config(
        vocab_size=VOCAB,
        hidden_size=1024,
        intermediate_size=6656,
        num_hidden_layers=16,
        num_attention_heads=16,
        max_position_embeddings=CONTEXT,
    ),
}


_NORM = Norm(kind="layer")
_MIXER = Rwkv7(heads=12, head_dim=64, decay_rank=64, rate_rank=64, gate_rank=128)
_FFN = MLP(hidden=3072, activation="relu2", gated=False, shift=TokenShift(channels=768))
_LAYERS = (Layer(mixer=_MIXER, ffn=_FFN, norm=_NORM), Layer(mixer=replace(_MIXER, first=FirstValues(rank=32)), ffn=_FFN, norm=_NORM))
RWKV7 = Arch(dim=768, vocab=VOCAB, layers=_LAYERS, norm=_NORM, context=CONTEXT)


def clock() -> float:
    """Seconds; with one thread of its own, which other work on the machine does not move."""
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


class Ours:
    """A model on the engine, as its own loop drives it."""

    def __init__(self, model: Model, memory: Memory, recorder: Recorder | None) -> None:
        slots = None if memory.states is None else memory.states.pool.total
        inputs = Inputs(largest_step(LIMITS, CONTEXT), memory.layouts, torch.device("cpu"), context=CONTEXT, slots=slots)
        self.core = Core(Runner(model, inputs, recorder), memory, LIMITS)
        self._arrivals = 0

    @classmethod
    def of_folder(cls, folder: Path) -> "Ours":
        """In 8 bits, on the kernels."""
        threads = torch.get_num_threads()
        options = LoadOptions(kv_memory=1 << 30, dtype=torch.bfloat16, quantize="int8", threads=threads, limits=LIMITS, context=CONTEXT)
        loaded = load_model(folder, options)
        torch.set_num_threads(threads)
        if loaded.recorder is None:
            raise SystemExit("no compiled kernels here: they need a compiler at installation and a processor with AVX2")
        return cls(loaded.model, Memory(loaded.pages, slots=loaded.slots), loaded.recorder)

    @classmethod
    def on_torch(cls, arch: Arch) -> "Ours":
        """In float32, without pages."""
        slots = 8
        model = build(arch, TorchBackend(Storage(pages={}, slots=slots, device=torch.device("cpu"))), context=CONTEXT)
        for module in model.modules():
            for field, shape in getattr(module, "fields", {}).items():
                module.assign(field, torch.randn(shape) * 0.02)  # type: ignore[operator]
            for parameter in module.parameters(recurse=False):
                parameter.data.fill_(0.5)
        return cls(model, Memory({}, slots=slots), None)

    def first(self, prompt: list[int]) -> float:
        """Seconds until the answer's first token."""
        seq = self._add(prompt, 1)
        began = clock()
        while seq.finish is None:
            self.core.step()
        return clock() - began

    def step(self, prompts: list[list[int]]) -> float:
        """Seconds of a step in which each answer gets a token."""
        seqs = [self._add(prompt, STEPS + 1) for prompt in prompts]
        while any(seq.length == seq.prompt for seq in seqs):
            self.core.step()
        times: list[float] = []
        while any(seq.finish is None for seq in seqs):
            began = clock()
            self.core.step()
            times.append(clock() - began)
        return median(times)

    def _add(self, prompt: list[int], answer: int) -> Answer:
        self._arrivals += 1
        request = Request(tokens=tuple(prompt), sampling=Sampling(max_tokens=answer, temperature=0))
        limit = len(prompt) + answer
        seq = Answer(request, self._arrivals, limit, self.core.memory.tables(limit), TokenSampler(request.sampling, 0, request.tokens))
        self.core.add(seq)
        return seq


class Theirs:
    """The same in transformers, in bf16."""

    def __init__(self, folder: Path) -> None:
        self._model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    def step(self, prompts: list[list[int]]) -> float:
        return (self._seconds(prompts, STEPS + 1) - self._seconds(prompts, 1)) / STEPS

    def first(self, prompt: list[int]) -> float:
        return self._seconds([prompt], 1)

    def _seconds(self, prompts: list[list[int]], answer: int) -> float:
        tokens = torch.tensor(prompts)
        began = clock()
        self._model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=answer, min_new_tokens=answer, do_sample=False)  # type: ignore[operator]
        return clock() - began


def saved(name: str, folder: Path) -> Path:
    torch.manual_seed(0)
    made: PreTrainedModel = AutoModelForCausalLM.from_config(SHAPES[name]())
    made.bfloat16().save_pretrained(folder / name)
    return folder / name


def prompts(count: int, tokens: int) -> list[list[int]]:
    """New ones each time, so that nothing of them is kept."""
    drawn = Random(time.monotonic_ns())
    return [drawn.choices(range(3, VOCAB), k=tokens) for _ in range(count)]


@torch.inference_mode()
def against_transformers(folder: Path, rounds: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """Both take turns."""
    rows: list[dict[str, Any]] = []
    for name in names:
        ours, theirs = Ours.of_folder(saved(name, folder)), Theirs(folder / name)
        for batch in (1, 16):
            pairs = [(ours.step(drawn := prompts(batch, 24)), theirs.step(drawn)) for _ in range(rounds)]
            rows.append(_row(f"{name}: a step of {batch}", pairs, 4.0))
        if name == "Mamba-2-130m":
            pairs = [(ours.first(drawn := prompts(1, 2000)[0]), theirs.first(drawn)) for _ in range(rounds)]
            rows.append(_row(f"{name}: a prompt of 2,000", pairs, 2.0))
    return rows


def _row(what: str, pairs: list[tuple[float, float]], least: float) -> dict[str, Any]:
    ours, theirs = (median(seconds) for seconds in zip(*pairs, strict=True))
    return row(what, ours, theirs, f"{theirs / ours:.1f} times as fast", f">= {least}")


def row(what: str, one: float, other: float, ratio: str, bar: str) -> dict[str, Any]:
    """Printed at once: the whole takes minutes."""
    print(f"{what}: {ratio}", flush=True)
    return {"what": what, "ms": round(one * 1e3, 2), "other ms": round(other * 1e3, 2), "ratio": ratio, "bar": bar}


@torch.inference_mode()
def behind_long_texts(what: str, ours: Ours, rounds: int) -> dict[str, Any]:
    """In turns. From the second round on the states behind both are kept."""
    drawn = {tokens: prompts(1, tokens) for tokens in (SHORT, LONG)}
    ours.step(drawn[LONG])
    pairs = [(ours.step(drawn[LONG]), ours.step(drawn[SHORT])) for _ in range(2 * rounds)]
    long, short = (min(seconds) for seconds in zip(*pairs, strict=True))
    return row(f"{what}: a step behind {LONG:,} tokens, and behind {SHORT}", long, short, f"{long / short:.3f}", "<= 1.1")


@torch.inference_mode()
def behind_what_is_kept(folder: Path, rounds: int) -> dict[str, Any]:
    """A prompt of 1,000 tokens and then some, new, and again with another end."""
    ours, cold, warm = Ours.of_folder(saved("LFM2-350M", folder)), list[float](), list[float]()
    for _ in range(rounds):
        stem, *ends = prompts(1, 1008)[0], *prompts(3, 16)
        first, _, third = (ours.first(stem + end) for end in ends)  # the second keeps the state behind what both begin with
        cold.append(first)
        warm.append(third)
    what = "LFM2-350M: first token behind 1,000 tokens that are kept, and that are not"
    return row(what, median(warm), median(cold), f"{median(warm) / median(cold):.3f}", "<= 0.15")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.recurrent", description="Measure state-space models on the embedded engine.")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many is shown")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--only", choices=AGAINST, help="one of those that transformers runs, too, and nothing else")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = against_transformers(Path(folder), options.rounds, [options.only] if options.only else AGAINST)
        if not options.only:
            rows.append(behind_long_texts("Mamba-2-130m", Ours.of_folder(Path(folder) / "Mamba-2-130m"), options.rounds))
            rows.append(behind_long_texts("RWKV-7 0.1B, two of its layers, on torch", Ours.on_torch(RWKV7), options.rounds))
            rows.append(behind_what_is_kept(Path(folder), options.rounds))
    shown = Table(title="state-space models: the first over or under the second", caption=machine())
    for column in rows[0]:
        shown.add_column(column)
    for row in rows:
        shown.add_row(*map(str, row.values()))
    Console(width=140).print(shown)
    only = f" --only {options.only}" if options.only else ""
    if options.json:
        numbers = {"machine": machine(), "command": f"python -m bench.recurrent --threads {options.threads}{only}", "rows": rows}
        Path(options.json).write_text(json.dumps(numbers, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
