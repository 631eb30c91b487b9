"""What must be remembered follows from the spec alone; and the vocabulary needs no torch."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import pytest

from models.families.changes import masked
from models.spec import (
    MLP,
    Arch,
    Attention,
    Causal,
    Classifier,
    Dense,
    Full,
    LatentAttention,
    Layer,
    Neighbourhood,
    Paged,
    Pooled,
    Window,
    caches,
    groups,
    width,
)

FULL = Layer(mixer=Attention(heads=4, kv_heads=2, head_dim=8), ffn=MLP(hidden=8))
LOCAL = masked(FULL, Window(size=5))
LATENT = replace(FULL, mixer=LatentAttention(heads=4, kv_rank=16, rope_dim=4, nope_dim=8, value_dim=8))


def test_caches() -> None:
    assert caches(FULL) == (Paged(per_token=((2, 8), (2, 8))),)
    assert caches(LOCAL) == (Paged(per_token=((2, 8), (2, 8)), reach=5),)
    assert caches(LATENT) == (Paged(per_token=((16,), (4,))),)


@pytest.mark.parametrize("mask", [Full(), Neighbourhood(distance=3)])
def test_who_looks_ahead_remembers_nothing(mask: Full | Neighbourhood) -> None:
    layer = masked(FULL, mask)
    assert caches(layer) == ()
    assert groups(Arch(dim=32, vocab=8, layers=(layer,) * 3, context=64)) == {}


def test_width() -> None:
    arch = Arch(dim=32, vocab=8, layers=(FULL,), context=64)
    outputs = [Pooled(), Pooled(pooling=("cls", "max")), Pooled(layers=(Dense(width=5), Dense(width=7)))]
    outputs = [*outputs, Classifier(labels=3, hidden=Dense(width=32))]
    assert [width(arch), *(width(replace(arch, output=output)) for output in outputs)] == [8, 32, 64, 7, 3]


def test_groups() -> None:
    arch = Arch(dim=32, vocab=8, layers=(LOCAL, LOCAL, FULL, LOCAL), context=64)
    assert list(groups(arch).values()) == [[0, 1, 3], [2]]


def test_floats() -> None:
    (full,), (local,), (latent,) = ([cache for cache in caches(layer) if isinstance(cache, Paged)] for layer in (FULL, LOCAL, LATENT))
    assert [cache.floats(3) for cache in (full, local, latent)] == [96, 96, 60]
    assert [cache.floats(100) for cache in (full, local, latent)] == [3200, 160, 2000]


def test_values() -> None:
    assert [(m.reach, m.ahead) for m in (Causal(), Window(size=7), Full(), Neighbourhood(distance=7))] == [
        (None, 0),
        (7, 0),
        (None, None),
        (8, 7),
    ]
    with pytest.raises(FrozenInstanceError):
        FULL.placement = "sandwich"  # type: ignore[misc]


def test_imports_no_torch() -> None:
    check = "import sys, models.spec, models.describe, models.hf; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
