"""Marian's translation models (arXiv 1804.00344, OPUS-MT): BART without a norm on the embedding, with positions that are computed."""

from typing import Any

from models.families.encoder_decoder import bart
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, Sinusoidal


def arch(config: Config) -> Arch:
    return bart.encoder_decoder(config, bart.Style(placement="post", position=Sinusoidal(order="halves"), embed_norm=False))


WEIGHTS: Recipes = bart.WEIGHTS

TINY: dict[str, Any] = bart.TINY | {
    "architectures": ["MarianMTModel"],
    "model_type": "marian",
    "scale_embedding": True,
    "activation_function": "swish",
    "pad_token_id": 255,
    "eos_token_id": 0,
    "forced_eos_token_id": 0,
    "bos_token_id": 1,
    "decoder_start_token_id": 255,
}
