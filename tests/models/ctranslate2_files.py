"""A writer of CTranslate2's model.bin, byte by byte, and GPT-2 and Llama in its layout: the same bytes as its converter of 4.8 writes."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
Array = NDArray[Any]


def model_bin(
    variables: Mapping[str, Array], kind: str = "float32", spec: str = "TransformerDecoderSpec", version: int = 6, revision: int = 8
) -> bytes:
    """Equal matrices are written once. `kind`: int8, int16, float16 or as it is."""
    stored, aliases = dict[str, Array](), dict[str, str]()
    for name in sorted(variables):
        value = variables[name]
        first = next((other for other, v in stored.items() if v.shape and v.dtype == value.dtype and np.array_equal(v, value)), None)
        if first is None or value.shape == ():
            stored[name] = value
        else:
            aliases[name] = first
    stored = dict(sorted(quantized(stored, kind).items()))
    content = struct.pack("<I", version) + _text(spec) + struct.pack("<II", revision, len(stored))
    for name, value in stored.items():
        shape = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        content += _text(name) + shape + struct.pack("<BI", TYPES.index(value.dtype.name), value.nbytes) + value.tobytes()
    return content + struct.pack("<I", len(aliases)) + b"".join(_text(alias) + _text(name) for alias, name in aliases.items())


def _text(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def quantized(variables: Mapping[str, Array], kind: str) -> dict[str, Array]:
    """Matrices in int8 or int16, everything in float16."""
    found = dict[str, Array]()
    for name, value in variables.items():
        weight = name.endswith("/weight") and "norm" not in name
        if kind == "float32":
            found[name] = value
        elif kind == "float16":
            found[name] = value.astype(np.float16) if value.ndim else value
        elif weight and kind == "int16":
            found[f"{name}_scale"] = np.asarray(np.float32(2**10 / np.abs(value).max()))
            found[name] = np.rint(value * found[f"{name}_scale"]).astype(np.int16)
        elif weight:
            found[f"{name}_scale"] = np.float32(127) / np.abs(value).reshape(len(value), -1).max(1)
            scale = found[f"{name}_scale"].reshape(-1, *(1,) * (value.ndim - 1))
            found[name] = np.rint(value * scale).astype(np.int8)
        else:
            found[name] = value
    return found


FLAGS = ["alibi", "alibi_use_positive_positions", "scale_alibi", "scale_embeddings", "start_from_zero_embedding"]


def _settings(model: PreTrainedModel, activation: int) -> dict[str, Array]:
    found: dict[str, Any] = {f"decoder/{name}": np.int8(0) for name in FLAGS} | {"decoder/pre_norm": np.int8(1)}
    found |= {"decoder/alignment_heads": np.int16(1), "decoder/alignment_layer": np.int16(-1), "decoder/activation": np.int8(activation)}
    found |= {"decoder/num_heads": np.int16(model.config.num_attention_heads)}
    return {name: np.asarray(value) for name, value in found.items()}


def gpt2(model: PreTrainedModel) -> dict[str, Array]:
    tensors = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    found = _settings(model, 1)
    names = {
        "wte.weight": "embeddings/weight",
        "wpe.weight": "position_encodings/encodings",
        "ln_f": "layer_norm",
        "attn.c_attn": "self_attention/linear_0",
        "attn.c_proj": "self_attention/linear_1",
        "mlp.c_fc": "ffn/linear_0",
        "mlp.c_proj": "ffn/linear_1",
        "ln_1": "self_attention/layer_norm",
        "ln_2": "ffn/layer_norm",
    }
    for name, value in tensors.items():
        new = name.replace("transformer.", "decoder/").replace("h.", "layer_").replace("lm_head.weight", "decoder/projection/weight")
        for theirs, ours in names.items():
            new = new.replace(theirs, ours)
        new = new.replace(".", "/")
        if "norm/" in new:
            new = new.replace("/weight", "/gamma").replace("/bias", "/beta")
        found[new] = np.ascontiguousarray(value.T) if ".c_" in name else value
    return found


def llama(model: PreTrainedModel) -> dict[str, Array]:
    """Also Qwen 3, Mistral and what else has the same parts."""
    t = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    config, found = model.config, _settings(model, 2)
    found |= {"decoder/embeddings/weight": t["model.embed_tokens.weight"], "decoder/projection/weight": t["lm_head.weight"]}
    found |= {"decoder/layer_norm/gamma": t["model.norm.weight"]}
    for i in range(config.num_hidden_layers):
        theirs, ours = f"model.layers.{i}.", f"decoder/layer_{i}/"
        attention = {
            "layer_norm/gamma": t[theirs + "input_layernorm.weight"],
            "linear_0/weight": np.concatenate([t[f"{theirs}self_attn.{p}_proj.weight"] for p in "qkv"]),
            "linear_1/weight": t[theirs + "self_attn.o_proj.weight"],
            "num_heads_kv": np.asarray(np.int32(config.num_key_value_heads)),
            "rotary_base": np.asarray(np.float32(10_000)),
            "rotary_dim": np.asarray(np.int32(0)),
            "rotary_interleave": np.asarray(np.int8(0)),
        }
        if theirs + "self_attn.q_norm.weight" in t:
            attention |= {f"{p}_norm/gamma": t[f"{theirs}self_attn.{p}_norm.weight"] for p in "qk"}
            attention |= {name: np.asarray(np.int32(config.head_dim)) for name in ("head_dim", "rotary_dim")}
        found |= {f"{ours}self_attention/{name}": value for name, value in attention.items()}
        feed = {"linear_0": "gate_proj", "linear_0_noact": "up_proj", "linear_1": "down_proj"}
        found |= {f"{ours}ffn/{name}/weight": t[f"{theirs}mlp.{part}.weight"] for name, part in feed.items()}
        found |= {f"{ours}ffn/layer_norm/gamma": t[theirs + "post_attention_layernorm.weight"]}
    return found


def whisper(model: PreTrainedModel) -> dict[str, Array]:
    """Keys get biases of zeros."""
    t = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    config = model.config
    found = _settings_of_whisper(config)
    for stack, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        found[f"{stack}/position_encodings/encodings"] = t[f"model.{stack}.embed_positions.weight"]
        found |= _affine(t, f"model.{stack}.layer_norm", f"{stack}/layer_norm")
        for i in range(layers):
            theirs, ours = f"model.{stack}.layers.{i}.", f"{stack}/layer_{i}/"
            found |= _affine(t, f"{theirs}self_attn_layer_norm", f"{ours}self_attention/layer_norm")
            found |= _affine(t, f"{theirs}final_layer_norm", f"{ours}ffn/layer_norm")
            found |= _joined(t, f"{theirs}self_attn.", ("q_proj", "k_proj", "v_proj"), f"{ours}self_attention/linear_0")
            found |= _joined(t, f"{theirs}self_attn.", ("out_proj",), f"{ours}self_attention/linear_1")
            found |= _joined(t, theirs, ("fc1",), f"{ours}ffn/linear_0") | _joined(t, theirs, ("fc2",), f"{ours}ffn/linear_1")
            if stack == "decoder":
                found |= _affine(t, f"{theirs}encoder_attn_layer_norm", f"{ours}attention/layer_norm")
                for part, names in enumerate((("q_proj",), ("k_proj", "v_proj"), ("out_proj",))):
                    found |= _joined(t, f"{theirs}encoder_attn.", names, f"{ours}attention/linear_{part}")
    for conv in ("conv1", "conv2"):
        found |= {f"encoder/{conv}/{field}": t[f"model.encoder.{conv}.{field}"] for field in ("weight", "bias")}
    return found | {f"decoder/{name}/weight": t["model.decoder.embed_tokens.weight"] for name in ("embeddings", "projection")}


def _settings_of_whisper(config: Any) -> dict[str, Array]:
    plain = ("alibi", "scale_embeddings", "start_from_zero_embedding")
    found: dict[str, Any] = {f"decoder/{name}": np.int8(0) for name in plain}
    found |= {"decoder/pre_norm": np.int8(1), "decoder/activation": np.int8(3)}
    found |= {"decoder/alignment_heads": np.int16(1), "decoder/alignment_layer": np.int16(-1)}
    found |= {f"{stack}/num_heads": np.int16(getattr(config, f"{stack}_attention_heads")) for stack in ("encoder", "decoder")}
    return {name: np.asarray(value) for name, value in found.items()}


def _affine(t: Mapping[str, Array], theirs: str, ours: str) -> dict[str, Array]:
    return {f"{ours}/gamma": t[f"{theirs}.weight"], f"{ours}/beta": t[f"{theirs}.bias"]}


def _joined(t: Mapping[str, Array], theirs: str, parts: Sequence[str], ours: str) -> dict[str, Array]:
    weights = [t[f"{theirs}{part}.weight"] for part in parts]
    biases = [t.get(f"{theirs}{part}.bias", np.zeros(len(w), np.float32)) for part, w in zip(parts, weights, strict=True)]
    return {f"{ours}/weight": np.concatenate(weights), f"{ours}/bias": np.concatenate(biases)}
