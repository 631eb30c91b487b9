"""A folder that holds an encoder of texts and one of images (CLIP, SigLIP): what both are, and each one's tensors."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from models.checkpoint import open_checkpoint
from models.encoders import EncoderFolder, Tensors
from models.families import pair_family_of, pair_of
from models.quant import WeightsError, dense
from models.spec import Pair

_TEXT, _IMAGE = re.compile(r"text_(model|projection)\..*"), re.compile(r"(vision_model|visual_projection)\..*")
_BUFFERS = re.compile(r"(text|vision)_model\.embeddings\.position_ids")
_SCALE, _OFFSET = "logit_scale", "logit_bias"


@dataclass(frozen=True)
class PairFolder:
    """`scale`, `offset`: how the product of two vectors becomes a score (models.spec.Pair)."""

    pair: Pair
    text: EncoderFolder
    image: EncoderFolder
    scale: float
    offset: float


def open_pair(directory: Path) -> PairFolder:
    """Raises ConfigError for what is not supported and WeightsError for tensors that are missing or not known (both ValueError)."""
    config = json.loads((directory / "config.json").read_text())
    family, pair, checkpoint = pair_family_of(config), pair_of(config), open_checkpoint(directory)
    names = [name for name in checkpoint if not _BUFFERS.fullmatch(name)]
    unknown = [name for name in names if not (_TEXT.fullmatch(name) or _IMAGE.fullmatch(name) or name in (_SCALE, _OFFSET))]
    if unknown:
        shown = ", ".join(sorted(unknown)[:5])
        raise WeightsError(f"the checkpoint has {len(unknown)} tensors that this architecture does not use: {shown}")
    if _SCALE not in names or (pair.judged == "sigmoid") != (_OFFSET in names):
        raise WeightsError(f"the checkpoint must have {_SCALE}{f' and {_OFFSET}' if pair.judged == 'sigmoid' else f' and no {_OFFSET}'}")
    text, image = ({name: (checkpoint, name) for name in names if kind.fullmatch(name)} for kind in (_TEXT, _IMAGE))
    return PairFolder(
        pair=pair,
        text=EncoderFolder(directory, pair.text, family.TEXT, Tensors(text)),
        image=EncoderFolder(directory, pair.image, family.IMAGE, Tensors(image)),
        scale=dense(checkpoint[_SCALE]).float().exp().item(),
        offset=dense(checkpoint[_OFFSET]).float().item() if _OFFSET in names else 0.0,
    )
