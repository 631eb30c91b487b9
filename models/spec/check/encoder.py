"""Of what a decoder's layers see of an encoder."""

from collections.abc import Iterator

from models.spec.arch import Arch, CrossVision, Layer
from models.spec.caches import remembered
from models.spec.check.problem import Problem, positive
from models.spec.cross import Frames, OwnEmbedding, SharedEmbedding
from models.spec.masks import Hubs
from models.spec.mixers import Attention
from models.spec.outputs import Writes


def seen(arch: Arch) -> Iterator[Problem]:
    """Whether a decoder with an encoder looks at it, and no other arch at what it has not got."""
    crossing = [i for i, layer in enumerate(arch.layers) if layer.cross is not None]
    if isinstance(arch.vision, CrossVision):
        yield from _shown(arch, arch.vision, crossing)
    elif arch.encoder is None and crossing:
        yield f".layers[{crossing[0]}].cross", "must be null where arch.encoder is: there is nothing to look at"
    if arch.encoder is not None and not isinstance(arch.output, Writes):
        yield ".encoder", "must be null: only a decoder looks at what another encoder has read"
    elif arch.encoder is not None and not crossing:
        yield ".layers", "must have cross in one of them at least: otherwise none would see the encoder"
    if arch.encoder is not None and arch.embed_dim is not None:
        yield ".embed_dim", "must be null where there is an encoder"


def _shown(arch: Arch, vision: CrossVision, crossing: list[int]) -> Iterator[Problem]:
    if not crossing:
        yield ".layers", "must have cross in one of them at least: otherwise none would see an image"
    for i in crossing:
        if arch.layers[i].mixer is not None:
            yield f".layers[{i}].mixer", "must be null beside cross: images are looked at in the place of a mixer"
    if arch.encoder is not None:
        yield ".encoder", "must be null where images are looked at"
    tower = vision.tower
    if any(not isinstance(layer.mixer, Attention) or layer.mixer.mask != Hubs() for layer in (*tower.layers, *tower.last_layers)):
        yield ".vision.tower", "must have an Attention with the mask Hubs in each layer"
    if any(not 0 <= taken < len(tower.layers) for taken in tower.taken):
        yield ".vision.tower.taken", f"must be numbers of its {len(tower.layers)} layers"


def crossing(layer: Layer) -> Iterator[Problem]:
    """Of one layer."""
    if layer.cross is None:
        return
    yield from positive(layer.cross, ".cross", "heads", "kv_heads", "head_dim")
    if layer.cross.kv_heads > 0 and layer.cross.heads % layer.cross.kv_heads:
        yield ".cross.heads", f"= {layer.cross.heads} is no multiple of kv_heads = {layer.cross.kv_heads}"
    if layer.ffn is None or layer.placement not in ("pre", "post"):
        yield ".cross", "can only stand between a mixer and a feed-forward part, with the placement pre or post"
    if layer.mixer is None and layer.placement != "pre":
        yield ".cross", "must have the placement pre where there is no mixer"


def reading(arch: Arch) -> Iterator[Problem]:
    """What the encoder is, beyond what any encoder must be."""
    if arch.encoder is None:
        return
    match arch.encoder.input:
        case OwnEmbedding() as read:
            yield from positive(read, ".encoder.input", "vocab")
        case Frames() as read:
            yield from positive(read, ".encoder.input", "bins")
        case SharedEmbedding() if arch.encoder.dim != arch.dim:
            yield ".encoder.dim", f"= {arch.encoder.dim} must be dim = {arch.dim}: it reads the decoder's embedding"
        case SharedEmbedding():
            pass
    for i, layer in enumerate(arch.encoder.layers):
        if layer.cross is not None or layer.placement == "reversible":
            yield f".encoder.layers[{i}]", "can neither be reversible nor have cross"
        if not isinstance(layer.mixer, Attention) or remembered(layer.mixer):
            yield f".encoder.layers[{i}].mixer", "must be an Attention that sees tokens ahead: take the mask Full or Neighbourhood"
