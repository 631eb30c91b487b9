"""Where the answers that this project steers meet vLLM's batch: a logits processor of vLLM's, in each of its worker processes."""

from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from engine.end_tokens import end_tokens_of
from engine.vllm.client.steering import Plan, Steered, Tools

PLAN = "stoa"  # in SamplingParams.extra_args


class Steering(LogitsProcessor):
    """Leaves, in the rows of steered answers, one token only. Their other parameters are neutral, so that vLLM takes it."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        self._model = vllm_config.model_config
        self._rows: dict[int, Steered] = {}  # by their place in the batch
        self._answers: dict[int, Steered] = {}  # by the place of their notes: those that were preempted come back

    def is_argmax_invariant(self) -> bool:
        return False

    @cached_property
    def _tools(self) -> Tools:
        folder = Path(self._model.model)
        return Tools((folder / "tokenizer.json").read_text(encoding="utf-8"), self._model.get_vocab_size(), end_tokens_of(folder))

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        if batch_update is None:
            return
        for row in batch_update.removed:
            self._rows.pop(row, None)
        for row, params, prompt, output in batch_update.added:
            self._add(row, params, prompt or [], output)
        for source, target, direction in batch_update.moved:
            moved, replaced = self._rows.pop(source, None), self._rows.pop(target, None)
            self._put(target, moved)
            if direction is MoveDirectionality.SWAP:
                self._put(source, replaced)

    def apply(self, logits: Tensor) -> Tensor:
        rows = list(self._rows)
        if not rows:
            return logits
        values_SY = logits[rows].float().cpu().numpy()
        tokens = [self._rows[row].choose(row_Y) for row, row_Y in zip(rows, values_SY, strict=True)]
        logits[rows] = float("-inf")
        logits[rows, tokens] = 0.0
        return logits

    def _add(self, row: int, params: SamplingParams, prompt: list[int], output: list[int]) -> None:
        packed = (params.extra_args or {}).get(PLAN)
        if packed is None:
            self._rows.pop(row, None)
            return
        plan = Plan.unpacked(packed)
        known = self._answers.get(plan.place)
        if known is None or known.plan.key != plan.key:
            known = Steered(plan, prompt, output, self._tools)
        known.output = output
        self._answers[plan.place] = self._rows[row] = known

    def _put(self, row: int, answer: Steered | None) -> None:
        if answer is not None:
            self._rows[row] = answer
