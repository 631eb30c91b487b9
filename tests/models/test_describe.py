"""Counts from the spec alone, against modules, published sizes and arithmetic done by hand."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from models.build import build, build_encoder
from models.describe import active_parameters, cache_bytes, describe, flops, parameters
from models.describe.attended import keys
from models.families import ENCODERS, FAMILIES, IMAGE_ENCODERS, PAIRS, arch_of, encoder_family_of, family_of, pair_family_of, pair_of
from models.families.changes import masked
from models.masks import may_see
from models.reference import Reference
from models.spec import (
    MLP,
    Arch,
    Attention,
    BlockSparse,
    Causal,
    Chunked,
    Dense,
    Fixed,
    Full,
    LatentAttention,
    Layer,
    Mask,
    MoE,
    Neighbourhood,
    Norm,
    Parallel,
    Pooled,
    QKNorm,
    SharedBlock,
    Sigmoid,
    Strided,
    Window,
)
from tests.models.published import PUBLISHED


@pytest.mark.parametrize(("name", "want"), [(name, model.parameters) for name, model in PUBLISHED.items()])
def test_published_sizes(name: str, want: int) -> None:
    assert parameters(arch_of(PUBLISHED[name].config)) == want


def counted(model: nn.Module) -> int:
    tensors = [
        *model.parameters(),
        *(
            buffer
            for name, buffer in model.named_buffers()
            if not name.endswith(("table_PR", "table_PD", "rotations_HKRB", "log_H1", "before_CW"))
        ),
    ]
    return sum(tensor.numel() for tensor in tensors)


def tiny(architecture: str) -> Mapping[str, Any]:
    return family_of({"architectures": [architecture]}).TINY


@pytest.mark.parametrize("architecture", FAMILIES)
def test_modules_hold_as_many(architecture: str) -> None:
    arch = arch_of(tiny(architecture))
    assert parameters(arch) == counted(build(arch, Reference(), context=8))


@pytest.mark.parametrize("architecture", [*ENCODERS, *IMAGE_ENCODERS])
def test_encoder_modules_hold_as_many(architecture: str) -> None:
    arch = arch_of({**encoder_family_of({"architectures": [architecture]}).TINY, "architectures": [architecture]})
    assert parameters(arch) == counted(build_encoder(arch, Reference(), context=8))


@pytest.mark.parametrize("architecture", PAIRS)
def test_both_of_a_pair_hold_as_many(architecture: str) -> None:
    pair = pair_of(pair_family_of({"architectures": [architecture]}).TINY)
    for arch in (pair.text, pair.image):
        assert parameters(arch) == counted(build_encoder(arch, Reference(), context=8))


def test_a_patch_is_multiplied_with_its_matrix() -> None:
    arch = pair_of(pair_family_of({"architectures": ["CLIPModel"]}).TINY).image
    assert arch.patches is not None
    wider = replace(arch, patches=replace(arch.patches, channels=4))
    assert flops(wider, 1) - flops(arch, 1) == 2 * arch.dim * arch.patches.size**2


def test_layers_behind_a_pooling() -> None:
    arch = arch_of(encoder_family_of({"architectures": ["BertModel"]}).TINY)
    layers = (Dense(width=5, norm=Norm(kind="layer")), Dense(width=7, bias=False))
    arch = replace(arch, output=Pooled(pooling=("cls", "max"), layers=layers))
    assert parameters(arch) == counted(build_encoder(arch, Reference(), context=8))


def test_biases_and_layer_norms() -> None:
    mixer = Attention(heads=2, kv_heads=1, head_dim=4, bias=True, out_bias=True, qk_norm=QKNorm(norm=Norm(kind="layer")))
    layer = Layer(mixer=mixer, ffn=MLP(hidden=6, gated=False, bias=True), norm=Norm(kind="layer"))
    arch = Arch(dim=8, vocab=10, layers=(layer, replace(layer, placement="sandwich")), context=8)
    assert parameters(arch) == counted(build(arch, Reference(), context=8))


HAND = Arch(dim=8, vocab=10, layers=(Layer(mixer=Attention(heads=2, kv_heads=1, head_dim=4), ffn=MLP(hidden=6)),) * 2, context=100)


def test_flops_by_hand() -> None:
    matrices = 8 * 8 + 2 * 8 * 4 + 8 * 8 + 3 * 8 * 6  # q, k and v, out, gate and up and down
    attention = 2 * 2 * 4  # scores and mix, 2 heads of 4, per token seen
    assert flops(HAND, 1) == 2 * (2 * (matrices + attention) + 8 * 10)
    assert flops(HAND, 50) - flops(HAND, 49) == 2 * 2 * attention


def test_several_mixers_by_hand() -> None:
    """In parallel, and in a block that two layers share: each use of it remembers for itself."""
    attention = Attention(heads=2, kv_heads=1, head_dim=4)
    silent = Layer(mixer=None, ffn=MLP(hidden=6))
    both = replace(HAND, layers=(silent, Layer(mixer=Parallel(mixers=(attention, attention)), ffn=None)))
    matrices = 8 * 8 + 2 * 8 * 4 + 8 * 8
    assert flops(both, 1) == 2 * (2 * (matrices + 16) + 3 * 8 * 6 + 8 * 10) and cache_bytes(both, 100) == cache_bytes(HAND, 100)
    block = SharedBlock(attention=attention, ffn=MLP(hidden=6), rank=3, adapts_attention=True)
    alone = Layer(mixer=attention, ffn=None, block=block)
    arch = replace(HAND, layers=(alone, replace(alone, block=replace(block, weights_of=0))))
    own = 8 * 8 + 3 * (8 + 2 * 6) + 3 * 3 * 16 + 3 * (8 + 4 + 4)  # out, an adapter of up, those of q, k and v
    read_twice = 16 * (8 + 4 + 4) + 8 * 8 + 3 * 8 * 6
    assert flops(arch, 1) == 2 * (2 * (matrices + 16 + own + read_twice + 16) + 8 * 10)
    assert parameters(arch) == 10 * 8 * 2 + 8 + 2 * (matrices + 8 + own) + read_twice + 16 + 8
    assert cache_bytes(arch, 100) == 2 * cache_bytes(HAND, 100) and describe(arch).caches[0].layers == (0, 1)


def test_cache_by_hand() -> None:
    assert cache_bytes(HAND, 100) == 2 * 2 * 100 * 2 * 4  # bytes, layers, tokens, k and v, K
    window = masked(HAND.layers[0], Window(size=10))
    mixed = replace(HAND, layers=(HAND.layers[0], window))
    assert cache_bytes(mixed, 100) == 2 * (100 + 10) * 2 * 4
    assert flops(mixed, 100) == flops(mixed, 10) + 2 * 90 * 16
    assert [(group.layers, group.reach) for group in describe(mixed).caches] == [((0,), None), ((1,), 10)]


def test_description_of_a_real_model() -> None:
    d = describe(arch_of(PUBLISHED["SmolLM2-135M-Instruct"].config))
    assert (d.layers, d.context, d.bytes_per_token) == (30, 8192, 30 * 2 * 3 * 64 * 2)
    assert d.bytes_per_context == 8192 * d.bytes_per_token
    assert d.flops_per_token == pytest.approx(2 * d.parameters, rel=0.01)
    assert d.flops_per_token_full > d.flops_per_token


def test_encoder_by_hand() -> None:
    """It remembers nothing, and has no logits of words."""
    near = masked(HAND.layers[0], Neighbourhood(distance=3))
    full = masked(HAND.layers[0], Full())
    arch = replace(HAND, layers=(near, full), output=Pooled())
    assert flops(arch, 1) == flops(HAND, 1) - 2 * 8 * 10
    assert flops(arch, 50) == flops(arch, 1) + 2 * 16 * (6 + 49)  # 7 tokens of the one, 50 of the other
    d = describe(arch)
    assert (d.caches, d.variants, d.bytes_per_context) == ((), (), 0)


def test_what_latents_stand_for() -> None:
    sizes = {v.name: v.bytes_per_token for v in describe(arch_of(PUBLISHED["DeepSeek-V2-Lite"].config)).variants}
    assert sizes["MLA"] == 27 * 2 * (512 + 64) and sizes["MHA"] == 27 * 2 * 16 * (128 + 64 + 128)


def test_variants() -> None:
    arch = arch_of(PUBLISHED["SmolLM2-135M-Instruct"].config)
    sizes = {v.name: v.bytes_per_token for v in describe(arch, bytes_per_number=1).variants}
    assert sizes == {"MHA": 30 * 2 * 9 * 64, "GQA": 30 * 2 * 3 * 64, "MQA": 30 * 2 * 64, "MLA": 30 * (4 * 64 + 32)}


@pytest.mark.parametrize(("heads", "kv_heads", "want"), [(12, 12, 2), (9, 1, 3), (8, 8, 1), (7, 7, 1), (8, 4, 4)])
def test_grouping_divides_the_heads(heads: int, kv_heads: int, want: int) -> None:
    layer = Layer(mixer=Attention(heads=heads, kv_heads=kv_heads, head_dim=4), ffn=MLP(hidden=6))
    arch = Arch(dim=8, vocab=10, layers=(layer,), context=16)
    (gqa,) = [v for v in describe(arch, bytes_per_number=1).variants if v.name == "GQA"]
    assert gqa.bytes_per_token == 2 * want * 4


def test_latent_attention_by_hand() -> None:
    """DeepSeek-V2's figures: 576 numbers for each token and layer."""
    mixer = LatentAttention(heads=4, kv_rank=16, rope_dim=4, nope_dim=6, value_dim=5, q_rank=7, out_bias=True)
    arch = replace(HAND, layers=(Layer(mixer=mixer, ffn=MLP(hidden=6)),))
    assert cache_bytes(arch, 16, 1) == 16 * 20
    latent = 7 * (8 + 4 * 10) + 8 * 20 + 16 * 4 * 11 + 4 * 5 * 8
    norms = 7 + 16
    assert parameters(arch) == 10 * 8 * 2 + 8 + 2 * 8 + latent + norms + 8 + 3 * 8 * 6
    assert flops(arch, 9) - flops(arch, 8) == 2 * 4 * (16 + 4 + 16)
    published = LatentAttention(heads=128, kv_rank=512, rope_dim=64, nope_dim=128, value_dim=128, q_rank=1536)
    assert cache_bytes(replace(HAND, layers=(replace(arch.layers[0], mixer=published),)), 1, 1) == 576


def test_experts_by_hand() -> None:
    ffn = MoE(experts=5, active=2, hidden=6, router=Sigmoid(), bias=True, router_bias=True, shared=7, shared_gate=True, latent=4)
    arch = replace(HAND, layers=(replace(HAND.layers[0], ffn=ffn),))
    expert, shared, router, latent = 3 * 4 * 6 + 2 * 6 + 4, 3 * 8 * 7 + 2 * 7 + 8, 5 * (8 + 1 + 1), 2 * 8 * 4
    dense = parameters(replace(HAND, layers=HAND.layers[:1])) - 3 * 8 * 6
    assert parameters(arch) == dense + router + 5 * expert + shared + 8 + latent
    assert active_parameters(arch) == parameters(arch) - 3 * expert
    one = flops(replace(HAND, layers=HAND.layers[:1]), 1) - 2 * 3 * 8 * 6
    assert flops(arch, 1) == one + 2 * (5 * 8 + 2 * 3 * 4 * 6 + 3 * 8 * 7 + 8 + latent)


@pytest.mark.parametrize(
    "mask",
    [Strided(local=4, stride=3), Fixed(size=5, summary=2), Chunked(size=6), Chunked(size=4, before=2), Window(size=7), Causal()],
    ids=lambda m: type(m).__name__,
)
def test_what_is_attended_is_what_the_mask_allows(mask: Mask) -> None:
    arch = replace(HAND, layers=(masked(HAND.layers[0], mask),))
    at = torch.arange(40)
    may = may_see(mask, at[:, None], at[None])
    for tokens in range(1, 41):
        seen = int(may[tokens - 1].sum())
        assert flops(arch, tokens) - flops(arch, 1) == 2 * 16 * (seen - 1), tokens


@pytest.mark.parametrize("tokens", [28, 29, 31, 64])
def test_keys_of_blocks(tokens: int) -> None:
    """Of a token in the middle: its own block, those beside it and the two ends."""
    mask = BlockSparse(size=4, random=1)
    at = torch.arange(tokens)
    seen = int(may_see(mask, at[:, None], at[None], tokens)[tokens // 2].sum())
    assert keys(Attention(heads=2, kv_heads=1, head_dim=4, mask=mask), HAND, tokens) == seen


def test_keys_of_longformer() -> None:
    arch = arch_of(encoder_family_of({"architectures": ["LongformerModel"]}).TINY)
    views = describe(arch).views
    assert [(view.layers, view.reach, view.ahead, view.keys) for view in views] == [((0,), 3, 2, 6), ((1,), 9, 8, 18), ((2,), 5, 4, 10)]
    assert flops(arch, 100) - flops(arch, 1) == 2 * 2 * 64 * (5 + 17 + 9)  # neighbours and the first token, beside itself
    assert flops(replace(arch, global_tokens=None), 100) == flops(arch, 100) - 2 * 2 * 64 * 3
