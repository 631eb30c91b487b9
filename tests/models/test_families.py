"""What the families make of configurations: the published ones, older and newer layouts, and ones to be refused."""

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from models.build import build
from models.families import ENCODERS, FAMILIES, IMAGE_ENCODERS, arch_of, encoder_family_of, family_of, recipes_of
from models.hf import ConfigError
from models.reference import Reference
from models.spec import Attention, Causal, Classifier, Full, Layer, Learned, Linear, Llama3, Neighbourhood, Pooled, Rope, Window, groups
from tests.models.encoder_world import make as make_encoder
from tests.models.published import PUBLISHED
from tests.models.test_parity import tiny
from tests.models.world import make, read_config


def mixer(layer: Layer) -> Attention:
    assert isinstance(layer.mixer, Attention)
    return layer.mixer


def windows(config: dict[str, Any]) -> list[int | None]:
    return [mixer(layer).mask.reach for layer in arch_of(config).layers]


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_family_is_a_value(architecture: str) -> None:
    config = dict(family_of({"architectures": [architecture]}).TINY)
    assert arch_of(config) == arch_of(config)
    assert hash(arch_of(config)) == hash(arch_of(config))
    assert arch_of(config) != replace(arch_of(config), tied=not arch_of(config).tied)


@pytest.mark.parametrize("architecture", [name for name, module in FAMILIES.items() if hasattr(import_module(module), "GGUF")])
def test_gguf_has_a_recipe_for_every_tensor(architecture: str) -> None:
    tensors = build(arch_of(family_of({"architectures": [architecture]}).TINY), Reference(), context=8).state_dict()
    asked = {re.sub(r"^layers\.\d+\.", "layers.{i}.", name) for name in tensors}
    assert asked - {"head.weight"} <= recipes_of({"architectures": [architecture]}, "gguf").keys()


@pytest.mark.parametrize(
    "family",
    [
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma3",
        "jamba",
        "bamba",
        "recurrent_gemma",
        "falcon_h1",
        "granitemoehybrid",
        "nemotron_h",
        "zamba2",
    ],
)
def test_what_transformers_saves_is_what_it_was_given(family: str, tmp_path: Path) -> None:
    values = tiny(family)
    make(values).config.save_pretrained(tmp_path)
    assert arch_of({"architectures": values["architectures"]} | read_config(tmp_path)) == arch_of(values)


def test_llama_32() -> None:
    arch = arch_of(PUBLISHED["Llama-3.2-1B-Instruct"].config)
    scaling = Llama3(factor=32.0, original=8192, low_freq_factor=1.0, high_freq_factor=4.0)
    assert mixer(arch.layers[0]).position == Rope(dim=64, base=500_000.0, scaling=scaling)
    assert (arch.context, arch.tied, len(groups(arch))) == (131072, True, 1)


def test_gemma3_older_layout() -> None:
    arch = arch_of(PUBLISHED["gemma-3-1b-it"].config)
    assert [i for i, layer in enumerate(arch.layers) if mixer(layer).mask == Causal()] == [5, 11, 17, 23]
    assert {mixer(layer).position for layer in arch.layers} == {Rope(dim=256, base=1e6), Rope(dim=256, base=1e4)}
    assert mixer(arch.layers[0]).mask == Window(size=512) and arch.tied
    assert sorted(len(layers) for layers in groups(arch).values()) == [4, 22]


def test_gemma3_scaling_spares_local_layers() -> None:
    config = PUBLISHED["gemma-3-1b-it"].config | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    ropes = [mixer(layer).position for layer in arch_of(config).layers]
    assert ropes[0] == Rope(dim=256, base=1e4) and ropes[5] == Rope(dim=256, base=1e6, scaling=Linear(factor=8.0))


def test_mistral_window() -> None:
    config = PUBLISHED["Mistral-7B-v0.1"].config
    assert set(windows(config)) == {4096}
    assert set(windows(config | {"sliding_window": None})) == {None}
    assert set(windows({key: value for key, value in config.items() if key != "sliding_window"})) == {4096}


def test_qwen2_windows() -> None:
    config = PUBLISHED["Qwen2.5-0.5B-Instruct"].config
    assert set(windows(config)) == {None}
    assert windows(config | {"use_sliding_window": True}) == [None] * 21 + [32768] * 3


def test_yarn_stretches_the_context() -> None:
    """As Qwen's model cards tell their users to write it."""
    config = PUBLISHED["Qwen2.5-0.5B-Instruct"].config
    yarn = {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"}
    assert arch_of(config).context == 32768
    assert arch_of(config | {"rope_scaling": yarn}).context == 131072


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("rwkv7", {"num_heads": 3}, "is not num_heads = 3 times head_dim"),
    ("rwkv7", {"value_dim": 64}, "value_dim = 64 is not supported"),
    ("llama", {"hidden_act": "gelu"}, "hidden_act"),
    ("llama", {"logit_scale": 2.0}, "nobody read logit_scale"),
    ("llama", {"num_hidden_layers": "3"}, "num_hidden_layers = '3' has the wrong type"),
    ("qwen2", {"use_mrope": True}, "use_mrope"),
    ("qwen2", {"layer_types": ["full_attention"]}, "each of 3 layers"),
    ("qwen2", {"layer_types": ["linear_attention"] * 3}, "layer_types must say"),
    ("qwen3", {"layer_types": ["sliding_attention"] * 3}, "use_sliding_window or sliding_window is not set"),
    ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ("gemma3", {"vision_config": {}}, "nobody read vision_config"),
    ("recurrent_gemma", {"block_types": ["conv"]}, "block_types must say recurrent or attention"),
    ("jamba", {"mamba_inner_layernorms": False}, "mamba_inner_layernorms"),
    ("bamba", {"attn_rotary_emb": 12}, "attn_rotary_emb = 12"),
    ("bamba", {"mamba_n_heads": 5}, "5 heads of mamba_d_head = 16 are not 96 channels"),
    ("falcon_h1", {"projectors_bias": True}, "projectors_bias = True"),
    ("nemotron_h", {"hybrid_override_pattern": "MX"}, "layers_block_type must say mamba, attention, mlp, moe of each layer, not"),
    ("nemotron_h", {"num_hidden_layers": 5}, "num_hidden_layers = 5"),
    ("nemotron_h", {"mlp_bias": True}, "mlp_bias = True is not supported beside experts"),
    ("zamba2", {"use_long_context": True}, "use_long_context"),
    ("zamba2", {"layers_block_type": ["mamba", "attention"]}, "layers_block_type must say mamba or hybrid of each layer"),
    ("zamba2", {"n_mamba_heads": 5}, "n_mamba_heads = 5 must divide 96 channels"),
    ("granitemoehybrid", {"layer_types": ["mamba"] * 3}, "each of 4 layers"),
    ("granitemoehybrid", {"layer_types": ["conv"] * 4}, "layer_types must say mamba or attention"),
    ("bert", {"hidden_act": "mish"}, "hidden_act = 'mish' is not supported, only gelu"),
    ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
    ("bert", {"is_decoder": True}, "is_decoder"),
    ("bert", {"embedding_size": 32}, "nobody read embedding_size"),
    ("roberta", {"pad_token_id": 0}, "pad_token_id = 0"),
    ("modernbert", {"classifier_pooling": "last"}, "classifier_pooling"),
    ("albert", {"num_hidden_groups": 2}, "num_hidden_groups = 2"),
    ("albert", {"inner_group_num": 2}, "inner_group_num = 2"),
    ("deberta_v2", {"pos_att_type": "p2p|c2p"}, "pos_att_type p2p is not supported, only c2p and p2c"),
    ("deberta_v2", {"norm_rel_ebd": "batch_norm"}, "norm_rel_ebd"),
    ("deberta_v2", {"conv_groups": 2}, "conv_groups = 2"),
    ("deberta_v2", {"conv_kernel_size": 4}, "conv_kernel_size = 4 is not supported, only odd ones"),
    ("deberta_v2", {"embedding_size": 32}, "embedding_size = 32"),
    ("deberta_v2", {"attention_head_size": 8}, "attention_head_size = 8"),
    ("nomic_bert", {"rotary_scaling_factor": 2.0}, "rotary_scaling_factor"),
    ("nomic_bert", {"moe_every_n_layers": 2}, "nobody read moe_every_n_layers"),
    ("modernbert", {"layer_types": ["full_attention"]}, "each of 4 layers"),
    ("modernbert", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "nobody read rope_scaling"),
]


@pytest.mark.parametrize(("family", "changes", "message"), REFUSED, ids=[f"{f}-{'-'.join(c)}" for f, c, _ in REFUSED])
def test_refused(family: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        arch_of(tiny(family, **changes))


@pytest.mark.parametrize("config", [{}, {"architectures": []}, {"architectures": ["RwkvForCausalLM"]}])
def test_unknown_architecture(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"is not supported, only \w+ForCausalLM, "):
        arch_of(config)
    with pytest.raises(ConfigError, match=r"is not a supported encoder, only BertModel, "):
        encoder_family_of(config)


@pytest.mark.parametrize("architecture", [*ENCODERS, *IMAGE_ENCODERS])
def test_an_encoder_is_a_value(architecture: str) -> None:
    config = {**encoder_family_of({"architectures": [architecture]}).TINY, "architectures": [architecture]}
    assert arch_of(config) == arch_of(config) and hash(arch_of(config)) == hash(arch_of(config))
    assert isinstance(arch_of(config).output, Classifier if architecture.endswith("Classification") else Pooled)


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "distilbert", "albert", "nomic_bert", "deberta_v2"])
def test_what_transformers_saves_of_an_encoder_is_what_it_was_given(family: str, tmp_path: Path) -> None:
    values = tiny(family)
    make_encoder(values).config.save_pretrained(tmp_path)
    assert arch_of({"architectures": values["architectures"]} | read_config(tmp_path)) == arch_of(values)


def test_modernbert_older_layout() -> None:
    """As its makers publish it: rope bases and the order of layers have keys of their own."""
    arch = arch_of(PUBLISHED["ModernBERT-base"].config)
    assert [i for i, layer in enumerate(arch.layers) if mixer(layer).mask == Full()] == [*range(0, 22, 3)]
    assert mixer(arch.layers[1]).mask == Neighbourhood(distance=64)
    assert (mixer(arch.layers[0]).position, mixer(arch.layers[1]).position) == (Rope(dim=64, base=160_000.0), Rope(dim=64))
    assert [layer.placement for layer in arch.layers] == ["pre_ffn"] + ["pre"] * 21


def test_nomic_bert_older_layout() -> None:
    """With GPT-2's keys; what it was not trained for needs angles that change with the length."""
    arch = arch_of(PUBLISHED["nomic-embed-text-v1.5"].config)
    assert (arch.context, len(arch.layers), arch.segments, arch.position) == (2048, 12, 2, None)
    assert mixer(arch.layers[0]).position == Rope(dim=64, base=1000.0)


def test_albert_has_one_layer() -> None:
    arch = arch_of(PUBLISHED["albert-base-v2"].config)
    assert [layer.weights_of for layer in arch.layers] == [None] + [0] * 11


def test_roberta_counts_positions_from_2_on() -> None:
    arch = arch_of(PUBLISHED["bge-reranker-base"].config)
    assert arch.position == Learned(count=512) and arch.context == 512
    assert isinstance(arch.output, Classifier) and arch.output.labels == 1
