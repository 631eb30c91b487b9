"""Tiny pipelines with several text encoders, opened as the server opens them: words become the pictures that diffusers makes of them."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from server.images.making import pictures
from tests.engine.test_images import same
from tests.models.diffusion.pipelines import flux_1, pixart_alpha, pixart_sigma, stable_3, stable_xl
from tests.server.images.world import opened, requests, theirs

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),  # diffusers' own
]

PIPELINES: dict[str, Callable[[Path], Any]] = {
    "xl": stable_xl,
    "xl, no zeros": partial(stable_xl, force_zeros_for_empty_prompt=False),
    "3": stable_3,
    "3 without T5": partial(stable_3, third=False),
    "flux": flux_1,
    "flux schnell": partial(flux_1, guided=False),
    "pixart alpha": pixart_alpha,
    "pixart sigma": pixart_sigma,
}
GUIDED: list[dict[str, Any]] = [{"negative_prompt": "dog", "guidance_scale": 4.0}, {"guidance_scale": 3.0}, {"guidance_scale": 1.0}]
ASKED: dict[str, list[dict[str, Any]]] = {
    "FluxPipeline": [{"negative_prompt": "dog", "guidance_scale": 4.0, "true_cfg_scale": 2.5}, {"guidance_scale": 2.0}, {}],
}


@pytest.fixture(scope="module", params=PIPELINES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """diffusers' pipeline, and the folder that it has written."""
    made, folder = PIPELINES[request.param](tmp_path_factory.mktemp("words")), tmp_path_factory.mktemp(request.param.replace(" ", "_"))
    made.set_progress_bar_config(disable=True)
    made.save_pretrained(folder)
    return made, folder


@torch.no_grad()
def test_words_become_the_pictures_that_diffusers_makes(world: tuple[Any, Path]) -> None:
    """With a prompt of what is not to be seen, without one, and without guidance, all at once."""
    made, folder = world
    asked = ASKED.get(type(made).__name__, GUIDED)
    if folder.name.startswith("flux_schnell"):
        asked = [{name: value for name, value in each.items() if name != "guidance_scale"} for each in asked]
    with opened(folder) as model:
        ours = asyncio.run(pictures(model, [request for each in asked for request in requests(model, **each)]))
    for picture, each in zip(ours, asked, strict=True):
        assert same(picture, theirs(made, **each))
