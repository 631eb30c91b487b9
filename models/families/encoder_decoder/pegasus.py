"""PEGASUS (arXiv 1912.08777): BART with norms before, and positions that are computed."""

from typing import Any

from models.families.encoder_decoder import bart
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, Sinusoidal


def arch(config: Config) -> Arch:
    return bart.encoder_decoder(config, bart.Style(placement="pre", position=Sinusoidal(order="halves"), embed_norm=False))


WEIGHTS: Recipes = bart.WEIGHTS

TINY: dict[str, Any] = bart.TINY | {
    "architectures": ["PegasusForConditionalGeneration"],
    "model_type": "pegasus",
    "scale_embedding": True,
    "activation_function": "relu",
    "decoder_start_token_id": 0,
}
