"""Step times of a model on this machine, by decodes and prompt tokens of the step, without a server around it."""

import time
from dataclasses import replace
from pathlib import Path
from random import Random

import torch

from bench.scale.times import StepTable
from engine.api import Request, Sampling
from engine.embedded.core import Core
from engine.embedded.load import LoadedModel, LoadOptions, load_model
from engine.embedded.memory.memory import Memory
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.scheduler import Limits
from engine.embedded.sequence import Sequence
from engine.embedded.step.inputs import Inputs, largest_step
from engine.embedded.step.runner import Runner

DECODES, PROMPTS, SAMPLES = (0, 1, 4, 16), (0, 16, 64, 256), 8
BEHIND = 150  # tokens that an answer has before it where decodes are measured
CONTEXT = 1024
LIMITS = Limits(max_running=64, max_waiting=64, max_step_tokens=512, mixed_step_tokens=16)


class Steps:
    """Makes steps of any size of a model, each timed by itself."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded, self._random, self._arrivals = loaded, Random(0), 0
        self._memory = Memory(loaded.pages, slots=loaded.slots)
        slots = None if self._memory.states is None else self._memory.states.pool.total
        self._inputs = Inputs(largest_step(LIMITS, CONTEXT), self._memory.layouts, loaded.device, context=CONTEXT, slots=slots)

    def measure(self, decodes: int, tokens: int) -> list[float]:
        """Seconds, sorted."""
        limits = replace(LIMITS, mixed_step_tokens=max(tokens, 1))
        core = Core(Runner(self._loaded.model, self._inputs, self._loaded.recorder), self._memory, limits)
        running = [self._add(core, BEHIND, 2 * SAMPLES + 2) for _ in range(decodes)]
        while any(seq.length == seq.prompt for seq in running):
            core.step()
        found = [self._step(core, tokens) for _ in range(SAMPLES + 1)]
        while not core.idle:
            core.step()
        return sorted(found[1:])  # the first may still be recorded

    def _step(self, core: Core, tokens: int) -> float:
        if tokens:
            self._add(core, tokens, 1)
        began = time.perf_counter()
        core.step()
        return time.perf_counter() - began

    def _add(self, core: Core, prompt: int, answer: int) -> Sequence:
        """New tokens each time, so that nothing of them is kept."""
        self._arrivals += 1
        drawn = tuple(self._random.choices(range(3, self._loaded.info.vocab), k=prompt))
        request = Request(tokens=drawn, sampling=Sampling(max_tokens=answer, temperature=0))
        limit = prompt + answer
        seq = Sequence(request, self._arrivals, limit, core.memory.tables(limit), TokenSampler(request.sampling, 0, drawn))
        core.add(seq)
        return seq


@torch.inference_mode()
def step_table(directory: Path) -> StepTable:
    """Measured in rounds of all sizes would be fairer to a busy machine; each size by itself keeps its own recording warm."""
    loaded = load_model(directory, LoadOptions(kv_memory=1 << 30, limits=LIMITS, context=CONTEXT))
    steps = Steps(loaded)
    steps.measure(1, 16)
    found = {(d, p): steps.measure(d, p) for d in DECODES for p in PROMPTS if d or p}
    return StepTable(found | {(0, 0): [0.0]})
