"""Tiny random pipelines of diffusers from texts to pictures, with tokenizers of a few letters."""

import json
import string
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.pixart_alpha.pipeline_pixart_alpha import PixArtAlphaPipeline
from diffusers.pipelines.pixart_alpha.pipeline_pixart_sigma import PixArtSigmaPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import StableDiffusion3Pipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import StableDiffusionXLInpaintPipeline
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from models.families.diffusion import flux, kl_autoencoder, pixart, sd3, text_encoder, unet
from tests.models.diffusion.world import make

LETTERS = string.ascii_lowercase + "!"
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = text_encoder.TINY["max_position_embeddings"]
Model = TypeVar("Model", bound=nn.Module)


def save_tokenizer(folder: Path, length: int, pad: str = END) -> Path:
    """CLIP's, as it was published."""
    folder.mkdir()
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "ca", "cat</w>", BEGIN, END]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n")
    said = {"tokenizer_class": "CLIPTokenizer", "pad_token": pad, "model_max_length": length}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


def clip_words(folder: Path, pad: str = END) -> Any:
    return CLIPTokenizer.from_pretrained(save_tokenizer(folder, LENGTH, pad))


def t5_words() -> Any:
    pieces = ["<pad>", "</s>", "<unk>", "▁", *string.ascii_lowercase, "▁a", "▁ca", "t", "▁cat"]
    return T5Tokenizer(vocab=[(piece, -float(i)) for i, piece in enumerate(dict.fromkeys(pieces))], extra_ids=0)


def rough(model: Model) -> Model:
    """No bias is zero, and no norm one."""
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def clip(kind: Any, width: int, end: int, projection: int = 16) -> Any:
    """`end`: 2 as in older files, or 57, as the tokenizer has it."""
    values: dict[str, Any] = {key: value for key, value in text_encoder.TINY.items() if key != "architectures"}
    sizes: dict[str, Any] = {"hidden_size": width, "eos_token_id": end, "projection_dim": projection, "num_hidden_layers": 3}
    return rough(kind(CLIPTextConfig(**values | sizes)))


def t5(width: int) -> Any:
    sizes: dict[str, Any] = {"d_kv": 6, "d_ff": 40, "num_layers": 2, "num_heads": 4, "vocab_size": 99, "relative_attention_num_buckets": 12}
    return rough(T5EncoderModel(T5Config(d_model=width, feed_forward_proj="gated-gelu", relative_attention_max_distance=40, **sizes)))


def vae(**change: Any) -> Any:
    return make(kl_autoencoder.TINY | change)


def pair(folder: Path) -> dict[str, Any]:
    """The CLIPs of SDXL."""
    return {
        "text_encoder": clip(CLIPTextModel, 8, 2),
        "text_encoder_2": clip(CLIPTextModelWithProjection, 12, 57),
        "tokenizer": clip_words(folder / "words"),
        "tokenizer_2": clip_words(folder / "words_2", "!"),
    }


XL = unet.TINY | {
    "out_channels": 4,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 64,
    "use_linear_projection": True,
    "transformer_layers_per_block": [1, 2, 2],
}
STABLE: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}


def euler() -> Any:
    return EulerDiscreteScheduler(timestep_spacing="leading", **STABLE)


def stable_xl(folder: Path, **said: Any) -> Any:
    parts = pair(folder) | {"unet": make(XL), "vae": vae(shift_factor=None), "scheduler": euler()}
    return StableDiffusionXLPipeline(**parts, add_watermarker=False, **said)


def stable_xl_inpaint(folder: Path) -> Any:
    """Nine channels: of the picture, of where it is made anew, of the rest."""
    parts = pair(folder) | {"unet": make(XL | {"in_channels": 9}), "vae": vae(shift_factor=None)}
    return StableDiffusionXLInpaintPipeline(**parts, scheduler=euler(), add_watermarker=False)


def stable_inpaint(folder: Path) -> Any:
    """The same of Stable Diffusion 1."""
    none: Any = None
    return StableDiffusionInpaintPipeline(
        vae=vae(shift_factor=None),
        text_encoder=clip(CLIPTextModel, 20, 2),
        tokenizer=clip_words(folder / "words"),
        unet=make(unet.TINY | {"in_channels": 9, "out_channels": 4}),
        scheduler=euler(),
        safety_checker=none,
        feature_extractor=none,
        requires_safety_checker=False,
    )


def stable_3(folder: Path, third: bool = True, shift: float = 0.2) -> Any:
    """`shift`: of its autoencoder."""
    none: Any = None
    return StableDiffusion3Pipeline(
        transformer=make(sd3.TINY | {"in_channels": 16, "out_channels": 16}),
        vae=vae(latent_channels=16, shift_factor=shift),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=clip(CLIPTextModelWithProjection, 8, 2, projection=10),
        text_encoder_2=clip(CLIPTextModelWithProjection, 10, 57, projection=14),
        text_encoder_3=t5(20) if third else none,
        tokenizer=clip_words(folder / "words"),
        tokenizer_2=clip_words(folder / "words_2", "!"),
        tokenizer_3=t5_words() if third else none,
    )


def flux_1(folder: Path, guided: bool = True) -> Any:
    return FluxPipeline(
        transformer=make(flux.TINY | {"guidance_embeds": guided}),
        vae=vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=guided),
        text_encoder=clip(CLIPTextModel, 24, 2),
        text_encoder_2=t5(20),
        tokenizer=clip_words(folder / "words"),
        tokenizer_2=t5_words(),
    )


def pixart_alpha(folder: Path) -> Any:
    """Told sizes, as models of 1024 pixels are."""
    transformer = make(pixart.TINY | {"sample_size": 128})
    scheduler: Any = DPMSolverMultistepScheduler(**STABLE)
    return PixArtAlphaPipeline(t5_words(), t5(20), vae(shift_factor=None), transformer, scheduler)


def pixart_sigma(folder: Path) -> Any:
    transformer = make(pixart.TINY | {"use_additional_conditions": False})
    scheduler: Any = DPMSolverMultistepScheduler(**STABLE)
    return PixArtSigmaPipeline(t5_words(), t5(20), vae(shift_factor=None), transformer, scheduler)
