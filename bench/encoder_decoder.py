"""What encoder-decoders cost on the embedded engine, with random weights in the shapes of published ones, against transformers.

python -m bench.encoder_decoder --json results.json     needs transformers; some minutes
python -m bench.encoder_decoder --threads 1             by the process's own clock, which other work on the machine hardly moves
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import (
    GenerationMixin,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from bench.report import machine
from engine.api import Beams, Frames, Request, Sampling
from engine.embedded.engine import EmbeddedEngine
from engine.embedded.load import LoadOptions, cores, load_model
from engine.embedded.scheduler import Limits

READ, WRITE, TOGETHER, WIDTH = 128, 64, 8, 4
WINDOWS, FRAMES, BINS, HEARD = 2, 3000, 80, 100  # 60 seconds of speech, 30 at a time, and tokens of each
LIMITS = Limits(max_running=32, max_waiting=64, max_step_tokens=512, mixed_step_tokens=64)
T5_SMALL = T5Config(vocab_size=32_128, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8)
WHISPER_TINY = WhisperConfig()
Form = Literal["float32", "bfloat16", "int8"]
Input = tuple[int, ...] | Frames
Work = Callable[[Sequence[Input]], float]  # seconds that the inputs take
OURS: tuple[Form, ...] = ("bfloat16", "int8")
THEIRS: tuple[Form, ...] = ("float32", "bfloat16")


class Clock:
    """Seconds. With one thread those that the process computes."""

    def __init__(self, threads: int) -> None:
        self._now = time.process_time if threads == 1 else time.perf_counter
        self._began = self._now()

    def stop(self) -> float:
        return self._now() - self._began


class Ours:
    """A folder on the engine, as the server runs it."""

    def __init__(self, folder: Path, form: Form, threads: int) -> None:
        options = LoadOptions(kv_memory=1 << 28, quantize="int8" if form == "int8" else None, threads=threads, limits=LIMITS)
        self._loaded, self._threads = load_model(folder, options), threads

    def answer(self, inputs: Sequence[Input]) -> float:
        """All at once."""
        return self._together([[read] for read in inputs], Sampling(max_tokens=WRITE, temperature=0))

    def search(self, inputs: Sequence[Input]) -> float:
        """The same with beams."""
        beams = Beams(width=WIDTH, until="full")
        return self._together([[read] for read in inputs], Sampling(max_tokens=WRITE, temperature=0, beams=beams))

    def hear(self, inputs: Sequence[Input]) -> float:
        """Recordings of some windows each, one window after the other, all recordings at once."""
        several = [inputs[i : i + WINDOWS] for i in range(0, len(inputs), WINDOWS)]
        return self._together(several, Sampling(max_tokens=HEARD, temperature=0))

    def _together(self, chains: Sequence[Sequence[Input]], sampling: Sampling) -> float:
        return asyncio.run(self._seconds(chains, sampling))

    async def _seconds(self, chains: Sequence[Sequence[Input]], sampling: Sampling) -> float:
        engine = EmbeddedEngine(self._loaded)
        try:
            engine.has_finite_logits()
            clock = Clock(self._threads)
            await asyncio.gather(*(_in_turn(engine, chain, sampling) for chain in chains))
            return clock.stop()
        finally:
            await engine.close()


async def _in_turn(engine: EmbeddedEngine, chain: Sequence[Input], sampling: Sampling) -> None:
    for read in chain:
        found = [delta async for delta in engine.generate(Request(tokens=(0,), sampling=sampling, encoder=read))]
        if sum(len(delta.tokens) for delta in found) != sampling.max_tokens:
            raise RuntimeError("the answer is shorter than asked for")


class Theirs:
    """The same folder in transformers."""

    def __init__(self, kind: type[PreTrainedModel], folder: Path, form: Form, threads: int) -> None:
        self._model, self._threads = kind.from_pretrained(folder, dtype=getattr(torch, form)).eval(), threads

    def answer(self, inputs: Sequence[Input]) -> float:
        """One batch."""
        return self._seconds([self._tokens(inputs)], WRITE)

    def search(self, inputs: Sequence[Input]) -> float:
        return self._seconds([self._tokens(inputs)], WRITE, num_beams=WIDTH, early_stopping=True)

    def hear(self, inputs: Sequence[Input]) -> float:
        """One window after the other: where one begins depends on what was heard in the one before."""
        return self._seconds([self._frames(read) for read in inputs], HEARD)

    def _tokens(self, inputs: Sequence[Input]) -> dict[str, Any]:
        tokens = torch.tensor(inputs)
        return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}

    def _frames(self, read: Input) -> dict[str, Any]:
        rows = read.rows.T if isinstance(read, Frames) else []
        return {"input_features": torch.tensor(np.asarray(rows))[None].to(self._model.dtype)}

    def _seconds(self, batches: Sequence[dict[str, Any]], count: int, **more: Any) -> float:
        torch.set_num_threads(self._threads)
        more |= {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False}
        clock = Clock(self._threads)
        for batch in batches:
            GenerationMixin.generate(self._model, **batch, **more)  # type: ignore[arg-type]
        return clock.stop()


@dataclass(frozen=True)
class Row:
    """Seconds of each form, one for each round. `alike`: each form is compared with the same one, not with the fastest."""

    what: str
    ours: dict[Form, list[float]]
    theirs: dict[Form, list[float]]
    bar: str
    alike: bool = False

    def shown(self) -> dict[str, str]:
        ours, theirs = ({form: median(seconds) for form, seconds in each.items()} for each in (self.ours, self.theirs))
        best = min(theirs.values())
        return {
            "what": self.what,
            "ours, s": _listed(ours, 3),
            "transformers, s": _listed(theirs, 3),
            "times as fast": _listed({form: (theirs[form] if self.alike else best) / seconds for form, seconds in ours.items()}, 2),
            "bar": self.bar,
        }


def _listed(numbers: Mapping[str, float], places: int) -> str:
    return ", ".join(f"{form} {number:.{places}f}" for form, number in numbers.items())


T = TypeVar("T")


def by_form(forms: Sequence[Form], make: Callable[[Form], T]) -> dict[Form, T]:
    return {form: make(form) for form in forms}


def measured(what: str, ours: dict[Form, Work], theirs: dict[Form, Work], inputs: Callable[[], Sequence[Input]], rounds: int) -> Row:
    """All take turns, with new inputs in each round."""
    row = Row(what, by_form(OURS, lambda form: []), by_form(THEIRS, lambda form: []), BARS[what])
    for _ in range(rounds):
        drawn = inputs()
        for works, found in ((ours, row.ours), (theirs, row.theirs)):
            for form, work in works.items():
                found[form].append(work(drawn))
    print(row.shown(), flush=True)
    return row


ANSWERS = f"T5-small: {READ} in, {WRITE} out, {TOGETHER} at once"
BEAMS = f"T5-small: {READ} in, {WRITE} out, {WIDTH} beams"
HEARING = f"Whisper-tiny: 60 s, {WINDOWS} windows of {HEARD} tokens"
FOUR = "Whisper-tiny: the same, four at once, and in place of transformers one after the other"
BARS = {ANSWERS: ">= 3", BEAMS: ">= 1", HEARING: ">= 2", FOUR: ">= 2"}


def texts(count: int) -> list[Input]:
    random = Random(time.monotonic_ns())
    return [tuple(random.choices(range(3, 32_000), k=READ)) for _ in range(count)]


def spectrograms(count: int) -> list[Input]:
    random = np.random.default_rng(time.monotonic_ns())
    return [Frames(random.standard_normal((FRAMES, BINS), np.float32)) for _ in range(count)]


def t5_small(folder: Path, threads: int, rounds: int) -> list[Row]:
    torch.manual_seed(0)
    made = T5ForConditionalGeneration(T5_SMALL)
    made.generation_config.decoder_start_token_id = 0
    made.save_pretrained(folder)
    ours = by_form(OURS, lambda form: Ours(folder, form, threads))
    theirs = by_form(THEIRS, lambda form: Theirs(T5ForConditionalGeneration, folder, form, threads))
    answers: list[dict[Form, Work]] = [{form: each.answer for form, each in side.items()} for side in (ours, theirs)]
    searches: list[dict[Form, Work]] = [{form: each.search for form, each in side.items()} for side in (ours, theirs)]
    return [
        measured(ANSWERS, answers[0], answers[1], lambda: texts(TOGETHER), rounds),
        measured(BEAMS, searches[0], searches[1], lambda: texts(1), rounds),
    ]


def whisper_tiny(folder: Path, threads: int, rounds: int) -> list[Row]:
    torch.manual_seed(0)
    WhisperForConditionalGeneration(WHISPER_TINY).save_pretrained(folder)
    ours = by_form(OURS, lambda form: Ours(folder, form, threads))
    theirs = by_form(THEIRS, lambda form: Theirs(WhisperForConditionalGeneration, folder, form, threads))
    hears: list[dict[Form, Work]] = [{form: each.hear for form, each in side.items()} for side in (ours, theirs)]
    together = Row(FOUR, by_form(OURS, lambda form: []), by_form(OURS, lambda form: []), BARS[FOUR], alike=True)
    for _ in range(rounds):
        for form, each in ours.items():
            drawn = spectrograms(4 * WINDOWS)
            together.ours[form].append(each.hear(drawn))
            together.theirs[form].append(sum(each.hear(drawn[i : i + WINDOWS]) for i in range(0, len(drawn), WINDOWS)))
    print(together.shown(), flush=True)
    return [measured(HEARING, hears[0], hears[1], lambda: spectrograms(WINDOWS), rounds), together]


@torch.inference_mode()
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.encoder_decoder", description="Measure encoder-decoders against transformers.")
    parser.add_argument("--rounds", type=int, default=5, help="the median of so many is shown")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    options = parser.parse_args(argv)
    rows: list[Row] = []
    for model in (t5_small, whisper_tiny):
        with tempfile.TemporaryDirectory() as folder:
            rows += model(Path(folder), options.threads, options.rounds)
    shown = Table(title="encoder-decoders: all take turns; medians", caption=machine())
    for column in rows[0].shown():
        shown.add_column(column)
    for row in rows:
        shown.add_row(*row.shown().values())
    Console(width=160).print(shown)
    if options.json:
        numbers = {
            "machine": machine(),
            "command": f"python -m bench.encoder_decoder --threads {options.threads} --rounds {options.rounds}",
            "rows": [row.shown() | {"seconds": {"ours": row.ours, "transformers": row.theirs}} for row in rows],
        }
        Path(options.json).write_text(json.dumps(numbers, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
