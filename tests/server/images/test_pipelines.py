"""Tiny pipelines with several text encoders, opened as the server opens them: words become the pictures that diffusers makes of them."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.api import PromptTokens
from server.core.errors import ApiError
from server.images.making import pictures
from tests.engine.test_images import same
from tests.models.diffusion.pipelines import LENGTH, flux_1, pixart_alpha, pixart_sigma, stable_3, stable_xl
from tests.server.encoder_decoder.test_sentencepiece import FIRST, train
from tests.server.images.world import opened, requests, theirs
from tests.server.worlds import CORPUS

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


def test_the_same_alone_and_in_company(world: tuple[Any, Path]) -> None:
    """Of another prompt, more steps and another size, one of them guided. What was read before is remembered, and changes nothing."""
    beside: dict[str, Any] = {"negative_prompt": "dog"} | ({"true_cfg_scale": 3.0} if "Flux" in type(world[0]).__name__ else {})
    asked: list[dict[str, Any]] = [
        {"steps": 3},
        {"prompt": "dog", "steps": 4, **beside},
        {"steps": 2, "size": "32x32"},
        {"steps": 3, "seed": 10},
    ]
    with opened(world[1]) as model:
        wanted = [request for each in asked for request in requests(model, **each)]
        company = asyncio.run(pictures(model, wanted))
        assert all(same(asyncio.run(pictures(model, [one]))[0], made) for one, made in zip(wanted, company, strict=True))
        assert len({made.tobytes() for made in company}) == len(company)


def test_prompts_and_sizes_as_the_model_reads_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where T5 reads on, CLIP is told the beginning; a table of places has an end."""
    folder = tmp_path_factory.mktemp("three")
    stable_3(tmp_path_factory.mktemp("words")).save_pretrained(folder)
    with opened(folder) as model:
        told = requests(model, prompt="dog " * 30)[0].prompt
        assert isinstance(told, PromptTokens) and [len(tokens) for tokens in told.tokens] == [LENGTH, LENGTH, 256]
        assert told.tokens[0][-1] == told.tokens[1][-1] == 57  # the end, which is in the vocabulary last
        with pytest.raises(ApiError, match=r"prompt: it has \d+ tokens, and this model reads 256"):
            requests(model, prompt="dog " * 200)
        assert requests(model, size="96x32")[0].size == (96, 32)
        with pytest.raises(ApiError, match=r"multiples of 8 and none above 96, with at most 4,096 pixels, not 104x8"):
            requests(model, size="104x8")
        assert (model.defaults.steps, model.defaults.guidance) == (28, 7.0)


def test_without_t5_no_more_is_read_than_clip_reads(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("three")
    stable_3(tmp_path_factory.mktemp("words"), third=False).save_pretrained(folder)
    with opened(folder) as model, pytest.raises(ApiError, match=rf"this model reads {LENGTH}"):
        requests(model, prompt="dog " * 30)


def test_t5s_words_as_they_were_published(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In spiece.model alone, as PixArt comes."""
    folder = tmp_path_factory.mktemp("pixart")
    pixart_sigma(tmp_path_factory.mktemp("words")).save_pretrained(folder)
    for file in (folder / "tokenizer").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"tokenizer has neither tokenizer\.json nor spiece\.model"), opened(folder):
        pass
    pieces = train(folder / "tokenizer" / "spiece.model", CORPUS, 90, **FIRST)
    with opened(folder) as model:
        told = requests(model, prompt=" The Capital of France ", negative_prompt="")[0].prompt
    assert isinstance(told, PromptTokens) and told.tokens == ((*pieces.encode("the capital of france"), 1),) and told.negative == ((1,),)
