"""What a GGUF file says about its model, in the words of config.json, as far as most architectures say it alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Any

from gguf import GGUFReader
from gguf.gguf_reader import ReaderField, ReaderTensor

from models.hf import Config, ConfigError

Values = dict[str, Any]
RMS_NORM = "attention.layer_norm_rms_epsilon"


@dataclass(frozen=True)
class File:
    """`meta`: the fields about the architecture, without their prefix. `tensors`: of all pieces."""

    meta: Config
    tensors: dict[str, ReaderTensor]
    tokens: Values  # bos_token_id and the like

    @classmethod
    def read(cls, kind: str, reader: GGUFReader, *pieces: GGUFReader) -> "File":
        tensors = {tensor.name: tensor for part in (reader, *pieces) for tensor in part.tensors}
        return cls(Config(dict(_metadata(reader, kind)), f"GGUF metadata of {kind}"), tensors, _token_ids(reader))

    def has(self, name: str) -> bool:
        return name in self.tensors

    @property
    def vocab(self) -> int:
        """Rows of the embedding."""
        vocab = int(self.tensors["token_embd.weight"].shape[1])
        self.meta.only("vocab_size", vocab)
        return vocab

    @property
    def tied(self) -> bool:
        return not self.has("output.weight")

    def kv_heads(self) -> int:
        """Of the layers that attend, where the file says it for each."""
        stated = self.meta.anything("attention.head_count_kv")
        return (
            max(stated)
            if isinstance(stated, list)
            else self.meta.integer("attention.head_count_kv", self.meta.integer("attention.head_count"))
        )

    def floats(self, name: str) -> list[float]:
        return [float(value) for value in self.tensors[name].data]


def architecture(reader: GGUFReader) -> str:
    return value_of(reader.fields["general.architecture"])


def llama_like(file: File, eps: str = RMS_NORM) -> Values:
    """`eps`: the field of the norms' epsilon."""
    meta = file.meta
    dim, heads = meta.integer("embedding_length"), meta.integer("attention.head_count")
    head_dim = meta.integer("attention.key_length", dim // heads)
    meta.only("attention.value_length", head_dim)
    return sizes(file) | {
        "num_key_value_heads": file.kv_heads(),
        "head_dim": head_dim,
        "rms_norm_eps" if "rms" in eps else "layer_norm_eps": meta.number(eps),
        "rope_parameters": rope(file, head_dim),
    }


def sizes(file: File) -> Values:
    meta = file.meta
    return {
        "hidden_size": meta.integer("embedding_length"),
        "vocab_size": file.vocab,
        "num_hidden_layers": meta.integer("block_count"),
        "intermediate_size": meta.integer("feed_forward_length"),
        "num_attention_heads": meta.integer("attention.head_count"),
        "max_position_embeddings": meta.integer("context_length"),
        "tie_word_embeddings": file.tied,
    }


def rope(file: File, head_dim: int) -> Values:
    meta = file.meta
    meta.ignore("rope.scaling.finetuned")
    values: Values = {"rope_theta": meta.number("rope.freq_base", 10_000.0)}
    rotated = meta.integer("rope.dimension_count", head_dim)
    if rotated != head_dim:
        values["partial_rotary_factor"] = rotated / head_dim
    if file.has("rope_factors_long.weight"):
        return values | _longrope(file)
    if file.has("rope_freqs.weight"):
        return values | {"rope_type": "divided", "factors": file.floats("rope_freqs.weight")}
    kind = meta.text("rope.scaling.type", "none")
    meta.ignore("rope.scaling.original_context_length")
    if kind == "none":
        return values
    values |= {"rope_type": kind, "factor": meta.number("rope.scaling.factor")}
    return values | _yarn(meta, values["factor"]) if kind == "yarn" else values


def _longrope(file: File) -> Values:
    meta = file.meta
    meta.ignore("rope.scaling.type")
    values: Values = {
        "rope_type": "longrope",
        "short_factor": file.floats("rope_factors_short.weight"),
        "long_factor": file.floats("rope_factors_long.weight"),
        "original_max_position_embeddings": meta.integer("rope.scaling.original_context_length", meta.integer("context_length")),
    }
    factor = meta.optional_number("rope.scaling.attn_factor")
    return values if factor is None else values | {"attention_factor": factor}


def _yarn(meta: Config, factor: float) -> Values:
    """GGUF's attn_factor comes on top of YaRN's own amplitude; Hugging Face's attention_factor replaces it."""
    yarn: Values = {"original_max_position_embeddings": meta.integer("rope.scaling.original_context_length")}
    for ours, theirs in (("beta_fast", "yarn_beta_fast"), ("beta_slow", "yarn_beta_slow")):
        yarn[ours] = meta.optional_number(f"rope.scaling.{theirs}")
    more = meta.number("rope.scaling.attn_factor", 1.0)
    return yarn if more == 1 else yarn | {"attention_factor": more * (0.1 * log(factor) + 1)}


def layer_types(file: File, every: int) -> list[str]:
    """Which layers see a window: stated for each, or all but each last of a number of them (`every`, where no file says it)."""
    stated, count = file.meta.anything("attention.sliding_window_pattern"), file.meta.integer("block_count")
    if not isinstance(stated, list):
        stated = [bool((i + 1) % (stated or every)) for i in range(count)]
    return ["sliding_attention" if local else "full_attention" for local in stated[:count]]


def experts(file: File, count: str = "num_experts") -> Values:
    return {count: file.meta.integer("expert_count"), "num_experts_per_tok": file.meta.integer("expert_used_count")}


def _token_ids(reader: GGUFReader) -> Values:
    names = {role: f"tokenizer.ggml.{short}_token_id" for role, short in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))}
    return {f"{role}_token_id": value_of(reader.fields[name]) for role, name in names.items() if name in reader.fields}


def _metadata(reader: GGUFReader, kind: str) -> Iterator[tuple[str, Any]]:
    for name, field in reader.fields.items():
        if name.startswith(f"{kind}."):
            yield name.removeprefix(f"{kind}."), value_of(field)


def value_of(field: ReaderField) -> Any:
    """Floats are stored in 32 bits: seven digits bring back what was meant (1e-05, not 9.999999747378752e-06)."""
    value = field.contents()
    return float(f"{value:.7g}") if isinstance(value, float) else value


def refused(kind: str, known: Iterator[str]) -> ConfigError:
    advice = "serve the model's safetensors folder, or another model"
    return ConfigError(f"GGUF architecture {kind!r} is not supported ({advice}); these are: {', '.join(sorted(known))}")
