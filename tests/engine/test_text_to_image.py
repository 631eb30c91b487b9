"""Tiny pipelines of Stable Diffusion paint on our engine what they paint in diffusers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from engine.api import EngineError, ImageRequest, Label, PromptTokens, StartPicture
from models.diffusion.folder import open_pipeline
from models.families.diffusion import kl_autoencoder, text_encoder, unet
from models.hf import ConfigError
from tests.engine.test_images import loaded, pictures, same
from tests.models.diffusion.world import make, save

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # diffusers' own

STABLE: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
SCHEDULERS: dict[str, Any] = {
    "ddim": (DDIMScheduler, {"clip_sample": False, "set_alpha_to_one": False}),
    "pndm": (PNDMScheduler, {"skip_prk_steps": True}),
    "euler": (EulerDiscreteScheduler, {"timestep_spacing": "leading"}),
    "ancestral": (EulerAncestralDiscreteScheduler, {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}),
}
LENGTH = text_encoder.TINY["max_position_embeddings"]


@pytest.fixture(scope="module", params=SCHEDULERS)
def parts(request: pytest.FixtureRequest) -> dict[str, Any]:
    torch.manual_seed(0)
    encoder = CLIPTextModel(CLIPTextConfig(**{key: value for key, value in text_encoder.TINY.items() if key != "architectures"})).eval()
    for parameter in encoder.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape))
    vae = make(kl_autoencoder.TINY | {"shift_factor": None})  # which that pipeline does not read
    scheduler, options = SCHEDULERS[request.param]
    found = make(unet.TINY | {"out_channels": 4})
    return {"unet": found, "vae": vae, "text_encoder": encoder, "scheduler": scheduler(**STABLE, **options)}


@pytest.fixture
def folder(parts: dict[str, Any], tmp_path: Path) -> Path:
    more = {"safety_checker": [None, None], "feature_extractor": [None, None], "tokenizer": ["transformers", "CLIPTokenizer"]}
    return save(tmp_path, parts, _class_name="StableDiffusionPipeline", requires_safety_checker=False, **more)


def prompts(count: int) -> torch.Tensor:
    return torch.randint(99, (count, LENGTH), generator=torch.Generator().manual_seed(1))


def text_of(tokens: torch.Tensor) -> PromptTokens:
    """The first is asked for, the second not."""
    return PromptTokens(tokens=(tuple(tokens[0].tolist()),), negative=(tuple(tokens[1].tolist()),))


@torch.no_grad()
@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_pictures_are_those_of_diffusers(parts: dict[str, Any], folder: Path, guidance: float) -> None:
    """Two at once, guided away from a text of their own."""
    none: Any = None
    world: Any = StableDiffusionPipeline(
        **parts, tokenizer=none, safety_checker=none, feature_extractor=none, requires_safety_checker=False
    )
    world.set_progress_bar_config(disable=True)
    tokens = prompts(4)
    rows = [parts["text_encoder"](t[None]).last_hidden_state for t in tokens]
    theirs = world(
        prompt_embeds=torch.cat(rows[:2]),
        negative_prompt_embeds=torch.cat(rows[2:]),
        guidance_scale=guidance,
        num_inference_steps=5,
        generator=[torch.Generator().manual_seed(seed) for seed in (21, 22)],
    ).images
    texts = [text_of(tokens[i::2]) for i in range(2)]
    requests = [ImageRequest(prompt=text, steps=5, seed=21 + i, guidance=guidance) for i, text in enumerate(texts)]
    for ours, wanted in zip(pictures(loaded(folder), requests), theirs, strict=True):
        assert same(ours, np.asarray(wanted))


@torch.no_grad()
def test_pictures_of_other_sizes(parts: dict[str, Any], folder: Path) -> None:
    """As diffusers makes them, and the same where others are made beside them."""
    none: Any = None
    world: Any = StableDiffusionPipeline(
        **parts, tokenizer=none, safety_checker=none, feature_extractor=none, requires_safety_checker=False
    )
    world.set_progress_bar_config(disable=True)
    tokens, sizes = prompts(2), [(48, 16), None, (16, 64), (48, 16)]
    rows = [parts["text_encoder"](t[None]).last_hidden_state for t in tokens]
    theirs = world(
        prompt_embeds=rows[0],
        negative_prompt_embeds=rows[1],
        guidance_scale=3.0,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(2),
        width=48,
        height=16,
    ).images[0]
    requests = [ImageRequest(prompt=text_of(tokens), steps=4, seed=2, guidance=3.0, size=size) for size in sizes]
    together, alone = pictures(loaded(folder), requests), pictures(loaded(folder), requests, together=False)
    assert same(together[0], np.asarray(theirs)) and [found.shape[:2] for found in together] == [(16, 48), (32, 32), (64, 16), (16, 48)]
    assert all(same(ours, wanted) for ours, wanted in zip(together, alone, strict=True))


@torch.no_grad()
@pytest.mark.parametrize("strength", [0.7, 1.0])
def test_what_is_not_masked_stays(parts: dict[str, Any], folder: Path, strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As diffusers' pipeline for inpainting does it with a denoiser that was not trained for it, but for what an encoder draws by lot."""
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda found, generator=None: found.mode())
    none: Any = None
    world: Any = StableDiffusionInpaintPipeline(
        **parts, tokenizer=none, safety_checker=none, feature_extractor=none, requires_safety_checker=False
    )
    world.set_progress_bar_config(disable=True)
    model = loaded(folder)
    size, rng = (model.info.height, model.info.width), np.random.default_rng(0)
    start, mask = rng.integers(0, 256, (*size, 3), dtype=np.uint8), np.zeros(size, bool)
    mask[4:, : size[1] // 2] = True
    tokens = prompts(2)
    rows = [parts["text_encoder"](t[None]).last_hidden_state for t in tokens]
    theirs = world(
        prompt_embeds=rows[0],
        negative_prompt_embeds=rows[1],
        image=Image.fromarray(start),
        mask_image=Image.fromarray(mask),
        strength=strength,
        guidance_scale=3.0,
        num_inference_steps=6,
        generator=torch.Generator().manual_seed(4),
        height=size[0],
        width=size[1],
    ).images
    picture = StartPicture(pixels=start, strength=strength, mask=mask)
    ours = pictures(model, [ImageRequest(prompt=text_of(tokens), steps=6, seed=4, guidance=3.0, start=picture)])[0]
    assert same(ours, np.asarray(theirs[0]))


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    model, good = loaded(folder), (1,) * LENGTH
    prompt = PromptTokens(tokens=(good,), negative=(good,))
    for size in ((40, 16), (0, 16), (96, 96)):
        with pytest.raises(EngineError, match=f"size: {size[0]} x {size[1]} is none"):
            pictures(model, [ImageRequest(prompt=prompt, steps=2, seed=1, size=size)])
    bad = {
        "this model is told texts": Label(3),
        f"prompt: tokens must be {LENGTH}, not 1": PromptTokens(tokens=((1,),), negative=(good,)),
        "prompt: token 99 is not in the vocabulary": PromptTokens(tokens=(good,), negative=((99, *good[1:]),)),
        "prompt: tokens must be of 1 text encoders, not of 2": PromptTokens(tokens=(good, good), negative=(good,)),
    }
    for words, prompt in bad.items():
        with pytest.raises(EngineError, match=words):
            pictures(model, [ImageRequest(prompt=prompt, steps=2, seed=1)])
    alone = ImageRequest(prompt=PromptTokens(tokens=(good,), negative=None), steps=2, seed=1)
    for words, request in {
        "negative is missing": replace(alone, guidance=2.0),
        "not told how far": replace(alone, told_guidance=2.0),
    }.items():
        with pytest.raises(EngineError, match=words):
            pictures(model, [request])


def test_an_encoder_with_its_older_names(folder: Path) -> None:
    """As it is published, behind `text_model.` and with positions that everybody can count; transformers writes neither any more."""
    file, request = folder / "text_encoder" / "model.safetensors", ImageRequest(prompt=text_of(prompts(2)), steps=2, seed=1, guidance=3.0)
    now = pictures(loaded(folder), [request])[0]
    tensors = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in load_file(file).items()}
    save_file(tensors | {"text_model.embeddings.position_ids": torch.arange(LENGTH)[None]}, file)
    assert np.array_equal(pictures(loaded(folder), [request])[0], now)


def test_an_encoder_that_does_not_fit(folder: Path) -> None:
    config = folder / "unet" / "config.json"
    config.write_text(config.read_text().replace('"cross_attention_dim": 20', '"cross_attention_dim": 24'))
    with pytest.raises(ConfigError, match=r"hidden_size = 20, but unet/config.json: cross_attention_dim = 24"):
        open_pipeline(folder)
