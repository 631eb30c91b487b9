"""What positions add to scores and to the embedding, and gated attention, against transformers' own code."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Qwen3NextConfig, Qwen3NextForCausalLM, T5Config
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from transformers.models.t5.modeling_t5 import T5Attention, T5Stack
from transformers.models.whisper.modeling_whisper import sinusoids

from models.build import build, build_encoder
from models.ops import Ops
from models.parts.positions import Sinusoids
from models.recipes import Copy, Recipes, Shift, cat
from models.reference import Reference, whole
from models.score_bias import bias_rows, position_rows
from models.spec import MLP, Arch, Attention, Causal, Disentangled, Full, Layer, Norm, Pooled, QKNorm, RelativeBias, Rope, Sinusoidal
from models.weights import load
from tests.models.world import logits_of, prompts

BACK = torch.arange(700)[:, None] - torch.arange(700)[None]


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize(("buckets", "most"), [(32, 128), (12, 40), (8, 5)])
def test_buckets_are_t5s(both_ways: bool, buckets: int, most: int) -> None:
    want = T5Attention._relative_position_bucket(-BACK, both_ways, buckets, most)
    assert torch.equal(bias_rows(RelativeBias(buckets=buckets, max_distance=most), both_ways, BACK), want)


@pytest.mark.parametrize(("buckets", "most"), [(256, 512), (12, 30), (-1, 64)])
def test_rows_are_debertas(buckets: int, most: int) -> None:
    x = torch.empty(1, 700, 1)
    span = buckets if buckets > 0 else most
    want = (build_relative_position(x, x, buckets, most)[0] + span).clamp(0, 2 * span - 1)
    position = Disentangled(span=span, max_distance=most if buckets > 0 else None)
    assert torch.equal(position_rows(position, BACK), want)


def ours(**spec: Any) -> Tensor:
    return Sinusoids(Sinusoidal(**spec), 30, 300, Ops())(torch.arange(300))


def test_sinusoids() -> None:
    distilbert = create_sinusoidal_embeddings(300, 30, torch.empty(300, 30))
    torch.testing.assert_close(ours(), distilbert)
    marian = MarianSinusoidalPositionalEmbedding(300, 30).create_weight()
    torch.testing.assert_close(ours(order="halves"), marian)
    torch.testing.assert_close(ours(order="halves", inclusive=True), sinusoids(300, 30), rtol=1e-4, atol=1e-4)


def noise(module: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(drawn * parameter.shape[1] ** -0.5 if parameter.dim() == 2 else 1 + 0.3 * drawn)


_B = "block.{i}.layer."


def t5_recipes(ffn: int) -> Recipes:
    return {
        "embed.weight": Copy("embed_tokens.weight"),
        "layers.{i}.norm1.weight": Copy(_B + "0.layer_norm.weight"),
        "layers.{i}.mixer.relative.weight": Copy(_B + "0.SelfAttention.relative_attention_bias.weight"),
        "layers.{i}.mixer.qkv.weight": cat(*(_B + f"0.SelfAttention.{p}.weight" for p in "qkv")),
        "layers.{i}.mixer.out.weight": Copy(_B + "0.SelfAttention.o.weight"),
        "layers.{i}.norm2.weight": Copy(_B + f"{ffn}.layer_norm.weight"),
        "layers.{i}.ffn.up.weight": Copy(_B + f"{ffn}.DenseReluDense.wi.weight"),
        "layers.{i}.ffn.down.weight": Copy(_B + f"{ffn}.DenseReluDense.wo.weight"),
        "norm.weight": Copy("final_layer_norm.weight"),
        "head.weight": Copy("lm_head.weight"),
    }


@pytest.mark.parametrize("decoder", [False, True])
def test_t5s_bias_is_its_first_layers(decoder: bool) -> None:
    """Both stacks of T5, the decoder with nothing to look at but itself."""
    sizes: Any = {"d_model": 24, "d_kv": 10, "num_heads": 3, "d_ff": 40, "num_layers": 3, "vocab_size": 256}
    sizes |= {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 20}
    theirs = T5Stack(T5Config(**sizes, is_decoder=decoder, use_cache=False)).eval()
    noise(theirs)
    mixer = Attention(
        heads=3,
        kv_heads=3,
        head_dim=10,
        mask=Causal() if decoder else Full(),
        position=RelativeBias(buckets=8, max_distance=20),
        scale=1.0,
    )
    layer = Layer(mixer=mixer, ffn=MLP(hidden=40, activation="relu", gated=False))
    arch = Arch(dim=24, vocab=256, layers=(layer,) * 3, tied=decoder, context=128)
    if decoder:
        model: Any = build(arch, Reference(), context=128)
    else:
        arch = Arch(dim=24, vocab=256, layers=(layer,) * 3, output=Pooled(), context=128)
        model = build_encoder(arch, Reference(), context=128)
    tensors = {name: t for name, t in theirs.state_dict().items() if "EncDec" not in name and not (decoder and ".layer.1." in name)}
    load(model, arch, t5_recipes(2 if decoder else 1), tensors)
    tokens = prompts([40, 7])
    with torch.no_grad():
        want = torch.cat([theirs(input_ids=t[None]).last_hidden_state[0] for t in tokens])
        got = model(torch.cat(tokens), whole([40, 7]))
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    assert [name for name, _ in model.named_parameters() if "relative" in name] == ["layers.0.mixer.relative.weight"]


_Q = "model.layers.{i}.self_attn."

QWEN3_NEXT: Recipes = {
    "embed.weight": Copy("model.embed_tokens.weight"),
    "layers.{i}.norm1.weight": Shift(Copy("model.layers.{i}.input_layernorm.weight"), 1.0),
    "layers.{i}.mixer.qkv.weight": cat(_Q + "q.weight", _Q + "k_proj.weight", _Q + "v_proj.weight"),
    "layers.{i}.mixer.gate.weight": Copy(_Q + "gate.weight"),
    "layers.{i}.mixer.q_norm.weight": Shift(Copy(_Q + "q_norm.weight"), 1.0),
    "layers.{i}.mixer.k_norm.weight": Shift(Copy(_Q + "k_norm.weight"), 1.0),
    "layers.{i}.mixer.out.weight": Copy(_Q + "o_proj.weight"),
    "layers.{i}.norm2.weight": Shift(Copy("model.layers.{i}.post_attention_layernorm.weight"), 1.0),
    "layers.{i}.ffn.up.weight": cat("model.layers.{i}.mlp.gate_proj.weight", "model.layers.{i}.mlp.up_proj.weight"),
    "layers.{i}.ffn.down.weight": Copy("model.layers.{i}.mlp.down_proj.weight"),
    "norm.weight": Shift(Copy("model.norm.weight"), 1.0),
    "head.weight": Copy("lm_head.weight"),
}


def ungated(tensors: Mapping[str, Tensor], head_dim: int) -> dict[str, Tensor]:
    """Each head's rows of q and of its gate lie behind one another there."""
    found = dict(tensors)
    for name in [name for name in tensors if name.endswith("q_proj.weight")]:
        q, gate = found.pop(name).unflatten(0, (-1, 2, head_dim)).transpose(0, 1).flatten(1, 2)
        found[name.replace("q_proj", "q")], found[name.replace("q_proj", "gate")] = q, gate
    return found


def test_gated_attention_is_that_of_qwen3_next() -> None:
    config: Any = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "vocab_size": 256, "head_dim": 16}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "layer_types": ["full_attention"] * 2, "mlp_only_layers": [0, 1]}
    config = Qwen3NextConfig(**config)
    config._attn_implementation = "eager"
    theirs = Qwen3NextForCausalLM(config).eval()
    noise(theirs)
    rope = Rope(dim=4, base=config.rope_parameters["rope_theta"])
    mixer = Attention(heads=4, kv_heads=2, head_dim=16, position=rope, qk_norm=QKNorm(), gate="channel")
    arch = Arch(dim=24, vocab=256, layers=(Layer(mixer=mixer, ffn=MLP(hidden=40), norm=Norm()),) * 2, context=128)
    model = build(arch, Reference(), context=128)
    load(model, arch, QWEN3_NEXT, ungated(theirs.state_dict(), 16))
    tokens = prompts([23, 5])
    with torch.no_grad():
        want = torch.cat([theirs(t[None]).logits[0] for t in tokens])
    torch.testing.assert_close(logits_of(model, tokens), want, rtol=1e-4, atol=1e-4)


def test_a_gate_for_each_head_is_one_number_for_its_channels() -> None:
    """The narrower gate is the wider one with equal rows."""
    narrow = Attention(heads=3, kv_heads=1, head_dim=8, gate="head")
    layer = Layer(mixer=narrow, ffn=MLP(hidden=20))
    arch = Arch(dim=16, vocab=256, layers=(layer,), tied=True, context=64)
    wide = Arch(
        dim=16,
        vocab=256,
        layers=(Layer(mixer=Attention(heads=3, kv_heads=1, head_dim=8, gate="channel"), ffn=layer.ffn),),
        tied=True,
        context=64,
    )
    one, other = build(arch, Reference(), context=64), build(wide, Reference(), context=64)
    noise(one)
    for buffer in one.buffers():
        buffer.copy_(torch.randn(buffer.shape) * buffer.shape[-1] ** -0.5)
    found = dict(one.state_dict())
    other.load_state_dict({n: t.repeat_interleave(8, 0) if ".gate." in n else t for n, t in found.items()})
    torch.testing.assert_close(logits_of(one, prompts([20])), logits_of(other, prompts([20])))
