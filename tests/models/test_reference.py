"""Ground truth, against torch's own attention and against common sense."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.build import build
from models.masks import may_see
from models.quant import quantize
from models.reference import Embedding, Linear, Reference, attend, whole
from models.spec import MLP, Arch, Attention, Full, Layer, Neighbourhood, Rope, Window

CPU = torch.device("cpu")


def qkv(queries: int, keys: int, spec: Attention) -> tuple[Tensor, Tensor, Tensor]:
    g, k = spec.kv_heads, spec.head_dim
    return torch.randn(queries, spec.heads, k), torch.randn(keys, g, k), torch.randn(keys, g, k)


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (4, 1)])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (7, 7), (1, 9), (3, 8)])
@pytest.mark.parametrize("reach", [None, 1, 3, 100])
def test_attend(heads: int, kv_heads: int, queries: int, keys: int, reach: int | None) -> None:
    spec = Attention(heads=heads, kv_heads=kv_heads, head_dim=8, scale=0.4)
    spec = spec if reach is None else Attention(heads=heads, kv_heads=kv_heads, head_dim=8, scale=0.4, mask=Window(size=reach))
    q, k, v = qkv(queries, keys, spec)
    heads_first = (t.transpose(0, 1) for t in (q, k, v))
    at = torch.arange(keys)
    mask = may_see(spec.mask, at[keys - queries :, None], at[None])
    want = F.scaled_dot_product_attention(*heads_first, attn_mask=mask, scale=0.4, enable_gqa=True).transpose(0, 1)
    torch.testing.assert_close(attend(spec, q, k, v), want)


@pytest.mark.parametrize("tokens", [1, 2, 9])
@pytest.mark.parametrize("mask", [Full(), Neighbourhood(distance=0), Neighbourhood(distance=3)])
def test_attend_both_ways(mask: Full | Neighbourhood, tokens: int) -> None:
    spec = Attention(heads=4, kv_heads=2, head_dim=8, mask=mask)
    q, k, v = qkv(tokens, tokens, spec)
    heads_first = (t.transpose(0, 1) for t in (q, k, v))
    at = torch.arange(tokens)
    near = (at[:, None] - at).abs() <= (mask.distance if isinstance(mask, Neighbourhood) else tokens)
    want = F.scaled_dot_product_attention(*heads_first, attn_mask=near, enable_gqa=True).transpose(0, 1)
    torch.testing.assert_close(attend(spec, q, k, v), want)


def test_softcap_bounds_the_scores() -> None:
    """Scores of any size count as at most the cap: with a tiny one, all tokens weigh the same."""
    spec = Attention(heads=1, kv_heads=1, head_dim=4, softcap=1e-6)
    q, k, v = qkv(1, 5, spec)
    torch.testing.assert_close(attend(spec, q * 100, k, v)[0, 0], v[:, 0].mean(0), rtol=1e-4, atol=1e-5)


MIXER = Attention(heads=2, kv_heads=1, head_dim=8, position=Rope(dim=8))
ARCH = Arch(dim=16, vocab=20, layers=(Layer(mixer=MIXER, ffn=MLP(hidden=24)),) * 2, context=32)


def test_company_changes_nothing() -> None:
    model = build(ARCH, Reference(), context=32)
    for tensor in (*model.parameters(), *(buffer for name, buffer in model.named_buffers() if "table" not in name)):
        tensor.copy_(torch.randn(tensor.shape) * 0.3)
    a, b = torch.randint(20, (9,)), torch.randint(20, (4,))
    together = model(torch.cat([a, b]), whole([9, 4]))
    torch.testing.assert_close(together, torch.cat([model(a, whole([9])), model(b, whole([4]))]))


def test_remembers_nothing() -> None:
    model, batch = build(ARCH, Reference(), context=32), whole([3])
    batch.cached_S[0] = 1
    with pytest.raises(ValueError, match="whole sequences"):
        model(torch.zeros(3, dtype=torch.int64), batch)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_leaves_take_any_form(dtype: torch.dtype) -> None:
    weight = quantize(torch.randn(8, 32), 4)
    linear, embedding = Linear(32, 8, True, dtype), Embedding(8, 32, dtype)
    for leaf in (linear, embedding):
        leaf.assign("weight", weight)
        assert torch.equal(leaf.weight, weight.dequantize().to(dtype))
    linear.assign("bias", torch.arange(8.0))
    x = torch.randn(3, 32).to(dtype)
    assert torch.equal(linear(x), F.linear(x, linear.weight, torch.arange(8).to(dtype)))
    assert torch.equal(embedding(torch.tensor([5])), linear.weight[5:6])
    assert embedding.logits(x).dtype == torch.float32
