"""Images are changed, and filled in behind masks, as diffusers' pipelines do it, but for what its encoder draws by lot."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.flux.pipeline_flux_img2img import FluxImg2ImgPipeline
from diffusers.pipelines.flux.pipeline_flux_inpaint import FluxInpaintPipeline
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3_img2img import StableDiffusion3Img2ImgPipeline
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3_inpaint import StableDiffusion3InpaintPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import StableDiffusionXLImg2ImgPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import StableDiffusionXLInpaintPipeline
from PIL import Image

from engine.api import StartPicture
from server.images.making import pictures
from tests.engine.test_images import same
from tests.models.diffusion.pipelines import flux_1, stable_3, stable_inpaint, stable_xl, stable_xl_inpaint
from tests.server.images.world import HEIGHT, WIDTH, opened, requests, theirs

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),  # diffusers' own
]
RNG = np.random.default_rng(0)
PIXELS, MASK = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), np.zeros((HEIGHT, WIDTH), bool)
MASK[4:, : WIDTH // 2] = True
Make = Callable[[Path], Any]
# what is made of a prompt alone, and diffusers' pipeline that changes images with the same parts; None: it is the same
CHANGED: dict[str, tuple[Make, Any]] = {
    "xl": (stable_xl, StableDiffusionXLImg2ImgPipeline),
    "3": (stable_3, StableDiffusion3Img2ImgPipeline),
    "flux": (flux_1, FluxImg2ImgPipeline),
}
FILLED: dict[str, tuple[Make, Any]] = {
    "xl": (stable_xl, StableDiffusionXLInpaintPipeline),
    "3": (partial(stable_3, shift=0.0), StableDiffusion3InpaintPipeline),  # whose pipeline forgets the shift when it decodes
    "flux": (flux_1, FluxInpaintPipeline),
    "1, nine channels": (stable_inpaint, None),
    "xl, nine channels": (stable_xl_inpaint, None),
}


@pytest.fixture(autouse=True)
def the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda found, generator=None: found.mode())


def both(make: Make, kind: Any, folder: Path, strength: float, mask: Any) -> tuple[Any, Any]:
    """What we make, and what diffusers makes."""
    words = folder / "words"
    words.mkdir()
    made = make(words)
    made.save_pretrained(folder)
    world = made if kind is None else kind(**made.components)
    world.set_progress_bar_config(disable=True)
    with opened(folder) as model:
        start = StartPicture(pixels=PIXELS, strength=strength, mask=mask)
        ours = asyncio.run(pictures(model, requests(model, start, guidance_scale=3.0)))[0]
    beside = {} if mask is None else {"mask_image": Image.fromarray(mask)}
    return ours, theirs(world, image=Image.fromarray(PIXELS), strength=strength, guidance_scale=3.0, **beside)


@torch.no_grad()
@pytest.mark.parametrize("case", CHANGED.values(), ids=CHANGED)
@pytest.mark.parametrize("strength", [0.5, 0.7])  # of five steps: two and a half, three and a half
def test_an_image_is_changed(case: tuple[Make, Any], strength: float, tmp_path: Path) -> None:
    assert same(*both(*case, tmp_path, strength, None))


@torch.no_grad()
@pytest.mark.parametrize("case", FILLED.values(), ids=FILLED)
@pytest.mark.parametrize("strength", [0.7, 1.0])
def test_an_image_is_filled_in(case: tuple[Make, Any], strength: float, tmp_path: Path) -> None:
    assert same(*both(*case, tmp_path, strength, MASK))
