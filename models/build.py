"""From value to module: parts for every layer of an `Arch`, weights still empty (models/weights fills them)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from models.batch import Backend
from models.ops import Ops
from models.parts.attention import AttentionPart, Positions
from models.parts.cross import CrossAttentionPart
from models.parts.ffn import FeedForward
from models.parts.latent import LatentAttentionPart
from models.parts.local_global import LocalGlobalPart
from models.parts.long_conv import LongConvPart
from models.parts.lsh import LshPart
from models.parts.moe import MixtureOfExperts
from models.parts.parallel import ParallelPart
from models.parts.positions import Rotary
from models.parts.recurrent.first_values import HandedValues
from models.parts.recurrent.linear import LinearAttentionPart
from models.parts.recurrent.mamba import MambaPart
from models.parts.recurrent.mamba2 import Mamba2Part
from models.parts.recurrent.rg_lru import RgLruPart
from models.parts.recurrent.rwkv7 import Rwkv7Part
from models.parts.recurrent.s4 import S4Part
from models.parts.recurrent.short_conv import ShortConvPart
from models.parts.relative import Tables
from models.parts.shared_block import Adapter, SharedBlockPart
from models.parts.windows import ShiftedWindowPart
from models.spec import (
    FFN,
    MLP,
    S4,
    Arch,
    Attention,
    Classifier,
    CrossVision,
    Denoised,
    LatentAttention,
    Layer,
    LinearAttention,
    LocalGlobalAttention,
    LongConv,
    LshAttention,
    Mamba,
    Mamba2,
    Mixer,
    MoE,
    Next,
    Parallel,
    Placement,
    Pooled,
    RgLru,
    Rope,
    Rwkv7,
    SharedBlock,
    ShiftedWindowAttention,
    ShortConv,
    Single,
    Tower,
    all_mixers,
    crossed_rows,
    stages,
    tower,
)
from models.stacks.decoder import Decoder
from models.stacks.encoder import Encoder
from models.stacks.layers import (
    AfterLayer,
    BlockLayer,
    FfnLayer,
    ImageCrossLayer,
    MixerLayer,
    ParallelLayer,
    PostCrossLayer,
    PostLayer,
    PreCrossLayer,
    PreFfnLayer,
    PreLayer,
    ReversibleLayer,
    SandwichLayer,
    SharedParallelLayer,
)
from models.stacks.stages import StageStack
from models.stacks.tiles import CrossVisionStack, TiledTowerStack
from models.stacks.tower import TowerStack
from models.stacks.vision import VisionStack

PLACEMENTS: dict[Placement, Callable[[Layer, int, nn.Module, nn.Module, Ops], nn.Module]] = {
    "pre": PreLayer,
    "pre_ffn": PreFfnLayer,
    "post": PostLayer,
    "sandwich": SandwichLayer,
    "after": AfterLayer,
    "parallel": ParallelLayer,
    "parallel_shared": SharedParallelLayer,
    "reversible": ReversibleLayer,
}


CROSSING: dict[Placement, Callable[[Layer, int, nn.Module, nn.Module, nn.Module, Ops], nn.Module]] = {
    "pre": PreCrossLayer,
    "post": PostCrossLayer,
}  # with cross-attention between mixer and feed-forward part


def build(arch: Arch, backend: Backend, *, context: int) -> Decoder:
    """`context`: positions that the tables of RoPE and of filters hold. Norm weights and tables are made on torch's default device
    (`with torch.device("cuda"): build(...)`), everything else where `backend` says. Raises ValueError for an encoder."""
    match arch.output:
        case (Next() as output) | Denoised(head=output):
            layers = _layers("", arch, backend, context)
            return Decoder(arch, output, layers, backend, _beside_decoder(arch, backend))
        case Pooled() | Classifier():
            raise ValueError("this model is an encoder: it makes vectors or scores of texts, but no text")


def build_encoder(arch: Arch, backend: Backend, *, context: int) -> Encoder:
    """The same for encoders. Raises ValueError for a decoder."""
    match arch.output:
        case Next() | Denoised():
            raise ValueError("this model is a decoder: it makes text, but no vectors or scores")
        case Pooled() | Classifier() as output:
            return Encoder(arch, output, _layers("", arch, backend, context), backend, _stages(arch, backend, context))


def _stages(arch: Arch, backend: Backend, context: int) -> list[StageStack]:
    widths = [*(stage.dim for stage in arch.before[1:]), arch.dim]
    built = [_layers(f"before.{i}.", stage, backend, context) for i, stage in enumerate(stages(arch))]
    parts = zip(arch.before, built, widths, strict=True) if arch.before else ()
    return [StageStack(f"before.{i}", spec, layers, width, backend) for i, (spec, layers, width) in enumerate(parts)]


@dataclass(frozen=True, eq=False)
class _Shared:
    """What several layers have in common."""

    context: int
    rotaries: Mapping[Rope, Rotary]
    tables: Tables
    values: HandedValues
    encoder: int  # columns of the rows that are looked at


def _beside_decoder(arch: Arch, backend: Backend) -> TowerStack | VisionStack | CrossVisionStack | None:
    if arch.encoder is not None:
        return _tower("encoder", arch.encoder, arch.vocab, backend)
    if arch.vision is None:
        return None
    if isinstance(arch.vision, CrossVision):
        return _cross_vision(arch.vision, backend)
    return VisionStack(arch.vision, _tower("vision.tower", arch.vision.tower, arch.vocab, backend), arch.dim, backend)


def _cross_vision(spec: CrossVision, backend: Backend) -> CrossVisionStack:
    name, own = "vision.tower", spec.tower.archs
    layers, last = (_layers(f"{name}.{part}", arch, backend, arch.context) for part, arch in zip(("", "last_"), own, strict=True))
    return CrossVisionStack(spec, TiledTowerStack(name, spec.tower, layers, last, backend), backend)


def _tower(name: str, spec: Tower, vocab: int, backend: Backend) -> TowerStack:
    return TowerStack(name, spec, _layers(f"{name}.", tower(spec, vocab), backend, spec.context), backend)


def _layers(prefix: str, arch: Arch, backend: Backend, context: int) -> list[nn.Module]:
    positions = {mixer.position for layer in arch.layers for mixer in all_mixers(layer)}
    rotaries = {rope: Rotary(rope, context, backend.ops) for rope in positions if isinstance(rope, Rope)}
    shared = _Shared(context, rotaries, Tables(arch.dim, backend), HandedValues(), crossed_rows(arch)[0])
    layers = [_layer(f"{prefix}layers.{i}", spec, arch.dim, backend, shared) for i, spec in enumerate(arch.layers)]
    for layer, spec in zip(layers, arch.layers, strict=True):
        if spec.weights_of is not None:
            _share(layers[spec.weights_of], layer)
        if spec.block is not None and spec.block.weights_of is not None:
            _share(layers[spec.block.weights_of].get_submodule("block"), layer.get_submodule("block"))
    return layers


def _share(owner: nn.Module, other: nn.Module) -> None:
    """`other`, which is built like `owner`, has its weights from now on, but for adapters."""
    for name, parameter in owner.named_parameters(recurse=False):
        setattr(other, name, parameter)
    for name, child in owner.named_children():
        if getattr(child, "fields", None):  # a leaf of weights
            setattr(other, name, child)
        elif not isinstance(child, Adapter):
            _share(child, getattr(other, name))


def _layer(name: str, spec: Layer, dim: int, backend: Backend, shared: _Shared) -> nn.Module:
    mixer = _mixer(f"{name}.mixer", spec.mixer, dim, backend, shared) if spec.mixer else None
    ffn = _ffn(f"{name}.ffn", spec.ffn, dim, backend) if spec.ffn else None
    match mixer, ffn:
        case nn.Module(), nn.Module():
            if spec.cross is None:
                return PLACEMENTS[spec.placement](spec, dim, mixer, ffn, backend.ops)
            cross = CrossAttentionPart(f"{name}.cross", spec.cross, dim, shared.encoder, backend)
            return CROSSING[spec.placement](spec, dim, mixer, cross, ffn, backend.ops)
        case nn.Module(), None:
            layer = MixerLayer(spec, dim, mixer, backend.ops)
            return layer if spec.block is None else _beside(name, spec.block, layer, dim, backend, shared)
        case None, nn.Module() if spec.cross is not None:
            cross = CrossAttentionPart(f"{name}.cross", spec.cross, dim, shared.encoder, backend)
            return ImageCrossLayer(spec, dim, cross, ffn, backend.ops)
        case None, nn.Module():
            return FfnLayer(spec, dim, ffn, backend.ops)
        case _:
            raise ValueError(f"{name} has neither a mixer nor a feed-forward part")


def _beside(name: str, spec: SharedBlock, layer: MixerLayer, dim: int, backend: Backend, shared: _Shared) -> nn.Module:
    rope = spec.attention.position
    positions = Positions(shared.rotaries[rope] if isinstance(rope, Rope) else None)
    attention = AttentionPart(f"{name}.block.mixer", spec.attention, dim, backend, positions, reads=2 * dim)
    block = SharedBlockPart(f"{name}.block", spec, attention, dim, backend)
    return BlockLayer(layer, block, backend.linear(f"{name}.block_out", dim, (dim,), split="whole"), backend.ops)


def _mixer(name: str, spec: Mixer, dim: int, backend: Backend, shared: _Shared) -> nn.Module:
    if isinstance(spec, Parallel):
        parts = (_single(f"{name}.{i}", each, dim, backend, shared) for i, each in enumerate(spec.mixers))
        return ParallelPart(list(parts), backend.ops)
    return _single(name, spec, dim, backend, shared)


def _single(name: str, spec: Single, dim: int, backend: Backend, shared: _Shared) -> nn.Module:
    match spec:
        case Attention(position=rope):
            rotary = shared.rotaries[rope] if isinstance(rope, Rope) else None
            positions = Positions(rotary, shared.tables.of(f"{name}.relative", spec))
            return AttentionPart(name, spec, dim, backend, positions)
        case LatentAttention(position=rope):
            return LatentAttentionPart(name, spec, dim, backend, shared.rotaries[rope] if rope else None)
        case LocalGlobalAttention():
            return LocalGlobalPart(name, spec, dim, backend)
        case Mamba():
            return MambaPart(name, spec, dim, backend)
        case Mamba2():
            return Mamba2Part(name, spec, dim, backend)
        case ShortConv():
            return ShortConvPart(name, spec, dim, backend)
        case LinearAttention(position=rope):
            return LinearAttentionPart(name, spec, dim, backend, shared.rotaries[rope] if rope else None)
        case RgLru():
            return RgLruPart(name, spec, dim, backend)
        case Rwkv7():
            return Rwkv7Part(name, spec, dim, backend, shared.values)
        case S4():
            return S4Part(name, spec, dim, backend)
        case LongConv():
            return LongConvPart(name, spec, dim, shared.context, backend)
        case ShiftedWindowAttention():
            return ShiftedWindowPart(name, spec, dim, backend)
        case LshAttention():
            return LshPart(name, spec, dim, backend)


def _ffn(name: str, spec: FFN, dim: int, backend: Backend) -> nn.Module:
    match spec:
        case MLP():
            return FeedForward(name, spec, dim, backend)
        case MoE():
            return MixtureOfExperts(name, spec, dim, backend)
