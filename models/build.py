"""From value to module: parts for every layer of an `Arch`, weights still empty (models/weights.py fills them)."""

from torch import nn

from models.batch import Backend
from models.parts.attention import AttentionPart
from models.parts.ffn import FeedForward
from models.parts.positions import Rotary
from models.spec import Arch, Attention, LatentAttention, Layer, Mixer, Rope
from models.stacks.decoder import Decoder, PreLayer, SandwichLayer


def build(arch: Arch, backend: Backend, *, context: int) -> Decoder:
    """`context`: positions that the RoPE tables hold. Norm weights and tables are made on torch's default device
    (`with torch.device("cuda"): build(...)`), everything else where `backend` says."""
    ropes = {m.position for layer in arch.layers if isinstance(m := layer.mixer, Attention) and m.position}
    rotaries = {rope: Rotary(rope, context, backend.ops) for rope in ropes}
    layers = [_layer(f"layers.{i}", spec, arch.dim, backend, rotaries) for i, spec in enumerate(arch.layers)]
    return Decoder(arch, layers, backend)


def _layer(name: str, spec: Layer, dim: int, backend: Backend, rotaries: dict[Rope, Rotary]) -> nn.Module:
    mixer = _mixer(f"{name}.mixer", spec.mixer, dim, backend, rotaries)
    ffn = FeedForward(f"{name}.ffn", spec.ffn, dim, backend)
    kind = {"pre": PreLayer, "sandwich": SandwichLayer}[spec.placement]
    return kind(spec, dim, mixer, ffn, backend.ops)


def _mixer(name: str, spec: Mixer, dim: int, backend: Backend, rotaries: dict[Rope, Rotary]) -> nn.Module:
    match spec:
        case Attention(position=rope):
            return AttentionPart(name, spec, dim, backend, rotaries[rope] if rope else None)
        case LatentAttention():
            raise NotImplementedError(f"{name}: latent attention can be described, but has no part yet")
