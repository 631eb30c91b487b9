"""Denoisers with what they are told: a label, or a text. N pictures; M rows of a text, X columns of its encoder."""

from typing import Protocol

import torch
from torch import Tensor, nn

from engine.api import Label, PromptTokens
from models.batch import Batch
from models.stacks.diffusion.dit import DitStack, Told
from models.stacks.diffusion.unet import UNetStack

Prompt = Label | PromptTokens | None


class Denoiser(Protocol):
    def read(self, prompt: Prompt) -> tuple[Tensor, Tensor]:
        """What the model is told for a prompt that fits it, and what it is told for none, which guidance leads away from."""
        ...

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Tensor) -> Tensor:
        """What it says of each picture. `told`: what `read` has made, of all pictures."""
        ...


class LabelledDenoiser:
    def __init__(self, model: DitStack, device: torch.device) -> None:
        self._model, self._device, self._none = model, device, model.spec.labels

    def read(self, prompt: Prompt) -> tuple[Tensor, Tensor]:
        number = prompt.number if isinstance(prompt, Label) else self._none
        return torch.tensor(number, device=self._device), torch.tensor(self._none, device=self._device)

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Tensor) -> Tensor:
        return self._model(x_NCHW, Told(times_N, told))


class PromptedDenoiser:
    """`encoder`: (tokens_T, batch) -> rows_TX."""

    def __init__(self, model: UNetStack, encoder: nn.Module, device: torch.device) -> None:
        self._model, self._encoder, self._device = model, encoder, device

    def read(self, prompt: Prompt) -> tuple[Tensor, Tensor]:
        assert isinstance(prompt, PromptTokens)  # expect_possible has seen to it
        text, negative = (torch.tensor(tokens, device=self._device) for tokens in (prompt.tokens, prompt.negative))
        rows = self._encoder(torch.cat([text, negative]), _two(len(text), len(negative), self._device))
        return rows[: len(text)], rows[len(text) :]

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Tensor) -> Tensor:
        return self._model(x_NCHW, times_N, told)


def _two(first: int, second: int, device: torch.device) -> Batch:
    positions_T = torch.cat([torch.arange(first, device=device), torch.arange(second, device=device)])
    starts_S1 = torch.tensor([0, first, first + second], dtype=torch.int32, device=device)
    return Batch(positions_T, starts_S1, torch.zeros(2, dtype=torch.int32, device=device))
