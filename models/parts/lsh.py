"""Reformer's attention by locality-sensitive hashing (Kitaev et al. 2020, arXiv 2001.04451). H heads, K head dimension, R rounds
of hashing, B rows of all random matrices of a round."""

from math import prod

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.ops import wide
from models.spec import LshAttention


class LshPart(nn.Module):
    """x_TD -> x_TD. Owns the projections and the random matrices, and says in which buckets a token lies."""

    rotations_HKRB: Tensor

    def __init__(self, name: str, spec: LshAttention, dim: int, backend: Backend) -> None:
        super().__init__()
        self.spec, width = spec, spec.heads * spec.head_dim
        self.shared_qkv = backend.linear(f"{name}.shared_qkv", dim, (width, width))
        self.register_buffer("rotations_HKRB", rotations(spec).to(torch.get_default_device()), persistent=False)
        self.attend = backend.lsh(name, spec)
        self.out = backend.linear(f"{name}.out", width, (dim,), split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        qk_THK, v_THK = self.shared_qkv(x_TD).unflatten(1, (2, self.spec.heads, self.spec.head_dim)).unbind(1)
        buckets_THR = buckets(qk_THK, self.rotations_HKRB, self.spec.buckets)
        return self.out(self.attend(qk_THK, v_THK, buckets_THR, batch).flatten(1))


def rotations(spec: LshAttention) -> Tensor:
    """float32 [H, K, R, B], on the CPU: what transformers draws there from the same seed."""
    shape = (spec.heads, spec.head_dim, spec.rounds, sum(spec.buckets) // 2)
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(spec.seed), device="cpu")


def buckets(qk_THK: Tensor, rotations_HKRB: Tensor, factors: tuple[int, ...]) -> Tensor:
    """int64 [T, H, R], from 0 up to the factors' product: of each factor, which of R x and -R x is largest (Andoni et al.
    2015, arXiv 1509.02897); the first factor's number counts ones, the next one's the first factor, and so on."""
    rotated_THRB = torch.einsum("thk,hkrb->thrb", wide(qk_THK), rotations_HKRB.to(wide(qk_THK).dtype))
    parts = rotated_THRB.split([factor // 2 for factor in factors], -1)
    numbers = (torch.cat([part, -part], -1).argmax(-1) for part in parts)
    return torch.stack([number * prod(factors[:i]) for i, number in enumerate(numbers)]).sum(0)


def keys_of(qk_THK: Tensor) -> Tensor:
    """The keys of what is query and key, scaled for their scores: of length 1."""
    k_THK = wide(qk_THK)
    return (k_THK * torch.rsqrt(k_THK.square().mean(-1, keepdim=True) + 1e-6) / k_THK.shape[-1] ** 0.5).to(qk_THK.dtype)
