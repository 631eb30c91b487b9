"""A tiny pipeline of Stable Diffusion in a folder, opened as the server opens it: a prompt in words becomes the picture that diffusers
makes of it, with a tokenizer of its own."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from models.families.diffusion import kl_autoencoder, text_encoder, unet
from server.api.images.request import to_order
from server.api.images.request_types import GenerationRequest
from server.core.errors import ApiError
from server.images.making import pictures
from server.images.model import ImageDefaults, ImageModel
from server.runtime.loading.images import open_image_model
from server.runtime.settings import Settings
from server.weights.progress import no_progress
from tests.engine.test_images import same
from tests.models.diffusion.pipelines import save_tokenizer
from tests.models.diffusion.world import make, save

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # diffusers' own

SCHEDULER: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = {key: value for key, value in text_encoder.TINY.items() if key != "architectures"}
    parts: dict[str, Any] = {
        "unet": make(unet.TINY | {"out_channels": 4}),
        "vae": make(kl_autoencoder.TINY | {"shift_factor": None}),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**config)).eval(),
        "scheduler": DDIMScheduler(clip_sample=False, set_alpha_to_one=False, **SCHEDULER),
    }
    more = {"safety_checker": [None, None], "feature_extractor": [None, None], "tokenizer": ["transformers", "CLIPTokenizer"]}
    found = save(tmp_path_factory.mktemp("pipeline"), parts, _class_name="StableDiffusionPipeline", requires_safety_checker=False, **more)
    index = json.loads((found / "model_index.json").read_text()) | {"text_encoder": ["transformers", "CLIPTextModel"]}
    (found / "model_index.json").write_text(json.dumps(index))
    save_tokenizer(found / "tokenizer", config["max_position_embeddings"])
    return found


@pytest.fixture
def model(folder: Path) -> Iterator[ImageModel]:
    model = open_image_model(Settings(threads=1), str(folder), no_progress)
    yield model
    asyncio.run(model.engine.close())
    model.decoder.close()


@torch.no_grad()
def test_words_become_the_picture_that_diffusers_makes(folder: Path, model: ImageModel) -> None:
    none: Any = None
    words, encoder = CLIPTokenizer.from_pretrained(folder / "tokenizer"), CLIPTextModel.from_pretrained(folder / "text_encoder")
    world: Any = StableDiffusionPipeline.from_pretrained(folder, safety_checker=none, tokenizer=words, text_encoder=encoder)
    world.set_progress_bar_config(disable=True)
    asked: dict[str, Any] = {"prompt": "a cat, zoo", "negative_prompt": "dog"}
    theirs = world(**asked, guidance_scale=4.0, num_inference_steps=5, generator=torch.Generator().manual_seed(9)).images[0]
    order = to_order(model, GenerationRequest(**asked, steps=5, guidance_scale=4.0, seed=9), asked["prompt"], "image_generation")
    ours = asyncio.run(pictures(model, order.requests))[0]
    assert same(ours, np.asarray(theirs)) and order.text_tokens == 8 + 5


def test_defaults_are_those_of_diffusers_unless_the_folder_says(folder: Path, model: ImageModel) -> None:
    assert model.defaults == ImageDefaults(50, 7.5) and model.size_of(None) == (32, 32)
    wrong = {"nobody reads steps": {"steps": 5}, "between 1 and 1000": {"num_inference_steps": 0}, "a number": {"guidance_scale": "x"}}
    for told, said in wrong.items():
        (folder / "generation_config.json").write_text(json.dumps(said))
        with pytest.raises(ValueError, match=told):
            open_image_model(Settings(threads=1), str(folder), no_progress)
    (folder / "generation_config.json").unlink()


def test_sizes(model: ImageModel) -> None:
    asked: dict[str, Any] = {"prompt": "a cat", "n": 2, "steps": 2, "response_format": None}
    order = to_order(model, GenerationRequest(**asked, size="48x16"), "a cat", "image_generation")
    assert [pixels.shape for pixels in asyncio.run(pictures(model, order.requests))] == [(16, 48, 3)] * 2
    assert (order.size, order.positions) == ((48, 16), 48)
    for size in ("40x16", "16x8", "128x48", "8192x8192"):  # no multiples of 16, or too many pixels
        with pytest.raises(ApiError, match=r"size: .* multiples of 16, with at most 4,096 pixels, not") as refused:
            to_order(model, GenerationRequest(**asked, size=size), "a cat", "image_generation")
        assert refused.value.param == "size"


def test_prompts_that_are_too_long(model: ImageModel) -> None:
    with pytest.raises(ApiError, match=r"prompt: it has \d+ tokens, and this model reads \d+"):
        to_order(model, GenerationRequest(prompt="dog " * 99), "dog " * 99, "image_generation")
