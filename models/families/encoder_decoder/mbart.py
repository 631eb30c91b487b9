"""mBART (arXiv 2001.08210, 2008.00401): BART with norms before, and one behind the last layer of each stack."""

from typing import Any

from models.families.encoder_decoder import bart
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, Learned


def arch(config: Config) -> Arch:
    position = Learned(count=config.integer("max_position_embeddings", 1024))
    return bart.encoder_decoder(config, bart.Style(placement="pre", position=position, embed_norm=True))


WEIGHTS: Recipes = bart.WEIGHTS

TINY: dict[str, Any] = bart.TINY | {
    "architectures": ["MBartForConditionalGeneration"],
    "model_type": "mbart",
    "scale_embedding": True,
}
