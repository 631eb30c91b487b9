"""Denoisers with what they are told: a label, or texts. N pictures; L rows of a text, X columns of its encoder."""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.api import ImageRequest, Label, PromptTokens
from engine.embedded.images.texts import PromptEncoder, ReadText, read_all
from models.stacks.diffusion.dit import DitStack
from models.stacks.diffusion.dit import Told as ToldLabel
from models.stacks.diffusion.mmdit import MmditStack
from models.stacks.diffusion.mmdit import Prompted as ToldTexts
from models.stacks.diffusion.pixart import Captioned, PixArtStack
from models.stacks.diffusion.unet import Measured, UNetStack

Told = tuple[Tensor, ...]  # of one picture; of several, each stacked
Size = tuple[int, int]  # width and height, in pixels


class Denoiser(Protocol):
    def read(self, request: ImageRequest, size: Size) -> tuple[Told, Told]:
        """What the model is told for a request that fits it, and what it is told instead where guidance leads away from something."""
        ...

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Told) -> Tensor:
        """What it says of each picture. `told`: what `read` has made, of all pictures."""
        ...


class LabelledDenoiser:
    def __init__(self, model: DitStack, device: torch.device) -> None:
        self._model, self._device, self._none = model, device, model.spec.labels

    def read(self, request: ImageRequest, size: Size) -> tuple[Told, Told]:
        number = request.prompt.number if isinstance(request.prompt, Label) else self._none
        return (torch.tensor(number, device=self._device),), (torch.tensor(self._none, device=self._device),)

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Told) -> Tensor:
        return self._model(x_NCHW, ToldLabel(times_N, *told))


class Teller(Protocol):
    """How one kind of denoiser is told texts."""

    def told(self, texts: Sequence[ReadText], request: ImageRequest, size: Size) -> Told: ...

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Told) -> Tensor: ...


class PromptedDenoiser:
    def __init__(self, encoders: Sequence[PromptEncoder], teller: Teller) -> None:
        self._encoders, self._teller = encoders, teller

    def read(self, request: ImageRequest, size: Size) -> tuple[Told, Told]:
        assert isinstance(request.prompt, PromptTokens)  # expect_possible has seen to it
        texts = read_all(self._encoders, request.prompt.tokens)
        told = self._teller.told(texts, request, size)
        if request.guidance == 1:
            return told, told
        negative = request.prompt.negative
        others = [text.zeros() for text in texts] if negative is None else read_all(self._encoders, negative)
        return told, self._teller.told(others, request, size)

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Told) -> Tensor:
        return self._teller(x_NCHW, times_N, told)


class TellRows:
    """LastRows"""

    def __init__(self, model: UNetStack) -> None:
        self._model = model

    def told(self, texts: Sequence[ReadText], request: ImageRequest, size: Size) -> Told:
        return (texts[0].rows_MX,)

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Told) -> Tensor:
        return self._model(x_NCHW, times_N, *told)


class TellPaired:
    """PairedRows"""

    def __init__(self, model: UNetStack) -> None:
        self._model = model

    def told(self, texts: Sequence[ReadText], request: ImageRequest, size: Size) -> Told:
        """A picture is cut nowhere, and was as large as it is wanted."""
        (width, height), (first, second) = size, texts
        sizes_6 = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32, device=second.vector_E.device)
        return torch.cat([first.before_MX, second.before_MX], 1), second.vector_E, sizes_6

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Told) -> Tensor:
        rows_NLX, *measured = told
        return self._model(x_NCHW, times_N, rows_NLX, Measured(*measured))


class TellPairedAndT5:
    """PairedRowsAndT5. `absent`: as there."""

    def __init__(self, model: MmditStack, absent: int | None) -> None:
        self._model, self._absent = model, absent

    def told(self, texts: Sequence[ReadText], request: ImageRequest, size: Size) -> Told:
        first, second, *t5 = texts
        both_MX = torch.cat([first.before_MX, second.before_MX], 1)
        both_MX = F.pad(both_MX, (0, self._model.spec.text - both_MX.shape[1]))
        more_MX = both_MX.new_zeros(self._absent or 0, both_MX.shape[1]) if not t5 else t5[0].rows_MX
        return torch.cat([both_MX, more_MX]), torch.cat([first.vector_E, second.vector_E])

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Told) -> Tensor:
        return self._model(x_NCHW, ToldTexts(times_N, *told))


class TellVectorAndT5:
    """VectorAndT5, and how far a model is guided that is told it."""

    def __init__(self, model: MmditStack) -> None:
        self._model = model

    def told(self, texts: Sequence[ReadText], request: ImageRequest, size: Size) -> Told:
        clip, t5 = texts
        guidance = () if request.told_guidance is None else (torch.tensor(request.told_guidance, device=t5.rows_MX.device),)
        return t5.rows_MX, clip.vector_E, *guidance

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Told) -> Tensor:
        return self._model(x_NCHW, ToldTexts(times_N, *told))


class TellMaskedT5:
    """MaskedT5. `context`: rows of every text, of which the last ones are not looked at."""

    def __init__(self, model: PixArtStack, context: int) -> None:
        self._model, self._context = model, context

    def told(self, texts: Sequence[ReadText], request: ImageRequest, size: Size) -> Told:
        rows_MX, (width, height) = texts[0].rows_MX, size
        rows_LX = F.pad(rows_MX, (0, 0, 0, self._context - len(rows_MX)))
        keep_L = (torch.arange(self._context, device=rows_MX.device) < len(rows_MX)).int()
        if not self._model.spec.sized:
            return rows_LX, keep_L
        sizes = torch.tensor([height, width, height / width], dtype=torch.float32, device=rows_MX.device)
        return rows_LX, keep_L, sizes[:2], sizes[2:]

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Told) -> Tensor:
        return self._model(x_NCHW, Captioned(times_N, *told))
