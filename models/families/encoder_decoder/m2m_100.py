"""M2M-100 (arXiv 2010.11125) and NLLB-200 (arXiv 2207.04672): BART with norms before, positions that are computed, as tensor2tensor does,
and counted from behind the padding's, and no bias on the logits."""

from typing import Any

from models.families.encoder_decoder import bart
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, Sinusoidal


def arch(config: Config) -> Arch:
    config.assume(activation_function="relu", scale_embedding=True)
    position = Sinusoidal(order="halves", inclusive=True, start=config.integer("pad_token_id", 1) + 1)
    return bart.encoder_decoder(config, bart.Style(placement="pre", position=position, embed_norm=False, bias=False))


WEIGHTS: Recipes = bart.WEIGHTS

TINY: dict[str, Any] = bart.TINY | {
    "architectures": ["M2M100ForConditionalGeneration"],
    "model_type": "m2m_100",
    "scale_embedding": True,
    "activation_function": "relu",
}
