"""The vocabulary: an architecture is a frozen value built from these parts. Nothing here imports torch.

What a layer must remember (its caches) is a pure function of its spec, so memory is sized before a module exists.
"""

from models.spec.arch import Arch, Layer, Placement, long_ropes, width
from models.spec.caches import Paged, caches, groups
from models.spec.ffn import (
    FFN,
    MLP,
    Activation,
    Clamped,
    ExpertGroups,
    InputSigmoid,
    MoE,
    Router,
    Sigmoid,
    Softmax,
    SoftmaxOfTop,
    SparseMixer,
)
from models.spec.masks import Causal, Chunked, Fixed, Full, GroupedWindow, Mask, Neighbourhood, Strided, Window
from models.spec.mixers import Attention, LatentAttention, Mixer, QKNorm, Temperature
from models.spec.norms import Norm
from models.spec.outputs import Classifier, Dense, Next, Output, Pooled, Pooling
from models.spec.positions import (
    Alibi,
    Divided,
    DynamicNtk,
    Learned,
    Linear,
    Llama3,
    LongRope,
    Rope,
    Scaling,
    Yarn,
    alibi_slopes,
    rope_lengths,
    rope_start,
)
from models.spec.value import spec

__all__ = [
    "FFN",
    "MLP",
    "Activation",
    "Alibi",
    "Arch",
    "Attention",
    "Causal",
    "Chunked",
    "Clamped",
    "Classifier",
    "Dense",
    "Divided",
    "DynamicNtk",
    "ExpertGroups",
    "Fixed",
    "Full",
    "GroupedWindow",
    "InputSigmoid",
    "LatentAttention",
    "Layer",
    "Learned",
    "Linear",
    "Llama3",
    "LongRope",
    "Mask",
    "Mixer",
    "MoE",
    "Neighbourhood",
    "Next",
    "Norm",
    "Output",
    "Paged",
    "Placement",
    "Pooled",
    "Pooling",
    "QKNorm",
    "Rope",
    "Router",
    "Scaling",
    "Sigmoid",
    "Softmax",
    "SoftmaxOfTop",
    "SparseMixer",
    "Strided",
    "Temperature",
    "Window",
    "Yarn",
    "alibi_slopes",
    "caches",
    "groups",
    "long_ropes",
    "rope_lengths",
    "rope_start",
    "spec",
    "width",
]
