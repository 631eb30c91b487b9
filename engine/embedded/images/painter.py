"""Pictures on their way, and a step of several of them together, each at its own step. N pictures, C channels, H high, W wide."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engine.api import ImageRequest, StartPicture
from engine.embedded.images.conditions import Told
from engine.embedded.images.load import LoadedImageModel
from models.diffusion.advance import Pictures, advance, begin, model_input
from models.diffusion.schedule import schedule
from models.diffusion.steps import Schedule, Step


@dataclass(frozen=True, eq=False)
class Kept:
    """What of a picture stays as it is while the rest is made anew: clean, the noise that it is seen through on the way, and where it is
    made anew (1, else 0)."""

    clean_CHW: Tensor
    noise_CHW: Tensor
    anew_HW: Tensor

    def before(self, x_CHW: Tensor, step: Step | None) -> Tensor:
        """`x_CHW` as it is to be before `step` (None: in the end). As diffusers does it in pipelines for inpainting."""
        clean, noise = (step.signal, step.level) if step is not None else (1.0, 0.0)
        return torch.lerp(clean * self.clean_CHW + noise * self.noise_CHW, x_CHW, self.anew_HW)


@dataclass(eq=False)
class Canvas:
    """A request's picture. Its noise is drawn on the CPU, from a generator of its own, so that company changes nothing. `told`,
    `without`: of `Denoiser.read`; `kept`: None where all of it is made. `beside_CHW`: what a denoiser that fills in
    reads besides."""

    request: ImageRequest
    plan: Schedule
    generator: torch.Generator
    x_CHW: Tensor
    clean_CHW: Tensor
    past_PCHW: Tensor
    told: Told
    without: Told
    kept: Kept | None = None
    beside_CHW: Tensor | None = None
    done: int = field(default=0)

    @property
    def next(self) -> Step:
        return self.plan.steps[self.done]

    @property
    def finished(self) -> bool:
        return self.done == len(self.plan.steps)

    @property
    def shown(self) -> Tensor:
        """What is to be seen now: the picture, or as what the model sees it."""
        return self.x_CHW if self.finished else self.clean_CHW


class Painter:
    """Called in one thread, without gradients."""

    def __init__(self, loaded: LoadedImageModel) -> None:
        self._loaded = loaded

    def begin(self, request: ImageRequest) -> Canvas:
        plan, generator = plan_of(self._loaded, request), torch.Generator().manual_seed(request.seed)
        noise_CHW, first = self._noise(generator, self._loaded.shape_of(request)), plan.steps[0]
        x_CHW, kept = noise_CHW * plan.start, None
        if request.start is not None:
            clean_CHW = self._latents(request.start.pixels)
            mask = None if request.start.mask is None else self._anew(request.start.mask, noise_CHW)
            kept = None if mask is None or self._loaded.info.fills else Kept(clean_CHW, noise_CHW, mask)
            if mask is None or request.start.strength < 1:  # else nothing of what was behind the mask is to show through
                x_CHW = first.signal * clean_CHW + first.level * noise_CHW
        state = begin(x_CHW[None])
        told, without = self._loaded.denoiser.read(request, self._loaded.info.size_of(request))
        beside_CHW = self._beside(request.start, noise_CHW) if self._loaded.info.fills and request.start is not None else None
        return Canvas(request, plan, generator, x_CHW, state.clean_NCHW[0], state.past_NPCHW[0], told, without, kept, beside_CHW)

    def step(self, canvases: Sequence[Canvas]) -> None:
        """Takes each of them, all of one size, one step further."""
        steps = [canvas.next for canvas in canvases]
        now = Pictures(*map(torch.stack, zip(*((c.x_CHW, c.clean_CHW, c.past_PCHW) for c in canvases), strict=True)))
        noises = [self._noise(c.generator, c.x_CHW.shape) if c.next.noise else torch.zeros_like(c.x_CHW) for c in canvases]
        new = advance(steps, now, self._said(canvases, steps, now.x_NCHW), torch.stack(noises))
        for i, canvas in enumerate(canvases):
            canvas.x_CHW, canvas.clean_CHW, canvas.past_PCHW = new.x_NCHW[i], new.clean_NCHW[i], new.past_NPCHW[i]
            canvas.done += 1
            if canvas.kept is not None:
                canvas.x_CHW = canvas.kept.before(canvas.x_CHW, None if canvas.finished else canvas.next)

    def pixels(self, canvas: Canvas) -> NDArray[np.uint8]:
        """[H, W, C]"""
        x_NCHW = canvas.shown[None]
        if self._loaded.autoencoder is not None:
            x_NCHW = self._loaded.autoencoder.decode(x_NCHW)
        shades = (x_NCHW[0].float() / 2 + 0.5).clamp(0, 1) * 255
        return shades.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()

    def _said(self, canvases: Sequence[Canvas], steps: Sequence[Step], x_NCHW: Tensor) -> Tensor:
        """What the model says of each picture, in one batch with what it says without a prompt of those that are guided."""
        guided = [i for i, canvas in enumerate(canvases) if canvas.request.guidance != 1]
        rows = [*range(len(canvases)), *guided]
        parts = zip(*[canvas.told for canvas in canvases], *[canvases[i].without for i in guided], strict=True)
        times_N = torch.tensor([steps[row].time for row in rows], device=x_NCHW.device)
        read_NCHW = model_input(steps, x_NCHW)
        beside = [canvas.beside_CHW for canvas in canvases if canvas.beside_CHW is not None]
        if beside:
            read_NCHW = torch.cat([read_NCHW, torch.stack(beside)], 1)
        out = self._loaded.denoiser(read_NCHW[rows], times_N, tuple(map(torch.stack, parts)))
        out = out[:, : x_NCHW.shape[1]].to(x_NCHW.dtype)
        said, without = out[: len(canvases)].clone(), out[len(canvases) :]
        for i, alone in zip(guided, without, strict=True):
            said[i] = alone + canvases[i].request.guidance * (said[i] - alone)
        return said

    def _anew(self, mask: NDArray[np.bool_], like_CHW: Tensor) -> Tensor:
        """As large as what the denoiser works on."""
        _, height, width = like_CHW.shape
        mask_11HW = torch.tensor(mask, dtype=torch.float32)[None, None]
        return F.interpolate(mask_11HW, size=(height, width))[0, 0].to(self._loaded.device)

    def _beside(self, start: StartPicture, like_CHW: Tensor) -> Tensor:
        """Where the picture is made anew, everywhere if there is no mask, and the rest of it, grey where it is made anew."""
        mask = np.ones(start.pixels.shape[:2], np.bool_) if start.mask is None else start.mask
        x_CHW = self._shades(start.pixels) * torch.tensor(~mask, device=like_CHW.device)
        return torch.cat([self._anew(mask, like_CHW)[None], self._encoded(x_CHW)])

    def _noise(self, generator: torch.Generator, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=generator).to(self._loaded.device)

    def _latents(self, pixels: NDArray[np.uint8]) -> Tensor:
        return self._encoded(self._shades(pixels))

    def _shades(self, pixels: NDArray[np.uint8]) -> Tensor:
        """[C, H, W], -1 to 1."""
        return (torch.tensor(pixels).permute(2, 0, 1).float() / 255 * 2 - 1).to(self._loaded.device)

    def _encoded(self, x_CHW: Tensor) -> Tensor:
        return x_CHW if self._loaded.autoencoder is None else self._loaded.autoencoder.encode(x_CHW[None])[0].float()


def plan_of(loaded: LoadedImageModel, request: ImageRequest) -> Schedule:
    """Raises ValueError where `steps` or `strength` cannot be."""
    patches = loaded.patches_of(request)
    plan = schedule(loaded.sampler, request.steps, patches=patches)  # whose error is about steps, before one about strength
    if request.start is None:
        return plan
    steps, strength = request.steps, request.start.strength
    if not 0 < strength <= 1 or not (run := loaded.info.steps_of(steps, strength)):
        raise ValueError(f"strength must be above 0 and at most 1, and leave one of {steps} steps at least, not {strength}")
    return schedule(loaded.sampler, steps, steps - run, patches)
