"""Runs a scheduled step on the model: takes chunks, returns sampled tokens for each chunk that completes its sequence."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from engine.embedded.sampling.prompt_logprobs import score_prompts
from engine.embedded.sampling.sampler import SampledToken, choose, choose_each
from engine.embedded.sequence import Chunk
from engine.embedded.step.capture import Captured, NotRecordable, Recorder
from engine.embedded.step.inputs import Inputs, Shape
from models.batch import Batch, Watcher


class Model(Protocol):
    """What models.build returns."""

    def __call__(self, tokens_T: Tensor, batch: Batch) -> Tensor: ...  # x_TD
    def logits(self, x_SD: Tensor) -> Tensor: ...  # float32 logits_SY


class Runner:
    """Owns the inputs and the recorded graphs. Not thread-safe."""

    def __init__(self, model: Model, inputs: Inputs, recorder: Recorder | None) -> None:
        self._model, self._inputs, self._recorder = model, inputs, recorder
        self._captured: dict[Shape, Captured] = {}
        self._recordable = True  # a recording tells nobody how it looks at anything

    def run(self, step: Sequence[Chunk]) -> list[Iterator[SampledToken]]:
        """Computes all chunks; returns for each completing chunk, in order, the token behind it and those behind its guesses: each is
        to be accepted by the sampler before the next is asked for. Logprobs of prompts go to their sequences."""
        shape = self._inputs.fill(step)
        self._recordable = not self._inputs.shows and all(chunk.sequence.looks is None for chunk in step)
        done = [i for i, chunk in enumerate(step) if chunk.completes]
        samplers = [step[i].sequence.sampler for i in done]
        if shape.tokens == shape.rows:
            logits_SY = self._compute(self._logits, shape)[: shape.rows]
            score_prompts(step, lambda tokens: logits_SY[tokens])
            return [iter([token]) for token in choose(logits_SY if len(done) == len(step) else logits_SY[done], samplers)]
        x_TD = self._compute(self._hidden, shape)
        score_prompts(step, lambda tokens: self._model.logits(x_TD[tokens]))
        if not done:
            return []
        drafted = [step[i].drafted for i in done]
        return choose_each(self._model.logits(x_TD[self._inputs.last(done, drafted)]), samplers, [1 + more for more in drafted])

    def has_finite_logits(self, step: Sequence[Chunk]) -> bool:
        """Computes all chunks without recording anything, and looks at the logits after the last token of each."""
        shape = self._inputs.fill(step)
        return bool(self._model.logits(self._hidden(shape)[self._inputs.last(list(range(len(step))))]).isfinite().all())

    def watch(self, step: Sequence[Chunk], watcher: Watcher) -> None:
        """Computes all chunks without recording anything; `watcher` is told what happens."""
        tokens_T, batch = self._inputs.batch(self._inputs.fill(step))
        self._model(tokens_T, replace(batch, watcher=watcher))

    def _hidden(self, shape: Shape) -> Tensor:
        return self._model(*self._inputs.batch(shape))

    def _logits(self, shape: Shape) -> Tensor:
        return self._model.logits(self._hidden(shape))

    def _compute(self, work: Callable[[Shape], Tensor], shape: Shape) -> Tensor:
        """Runs `work` at `shape`, or replays its recording at a shape that fits; the result may then have padding rows."""
        recorder = self._recorder if self._recordable else None
        fit = None if recorder is None else recorder.fit(shape, self._inputs.most)
        if recorder is None or fit is None:
            return work(shape)
        if fit not in self._captured:
            try:
                self._captured[fit] = recorder.record(lambda: work(fit))
            except NotRecordable:
                self._recorder = None
                return work(shape)
        return self._captured[fit].replay()
