"""Readers of a Hugging Face config.json that notice which keys were read: one that nobody read is an error, because
a model that loads and is subtly wrong is the worst bug."""

from collections.abc import Mapping
from math import inf, log, sqrt
from typing import Any, TypeVar

from models.spec import Activation, Divided, DynamicNtk, Linear, Llama3, LongRope, Rope, Scaling, Sections, Yarn

T = TypeVar("T", float, str)


class ConfigError(ValueError):
    """The configuration asks for something we do not do, or lacks something we need."""


# keys that say nothing about the arithmetic of a forward pass (models/formats reads quantization_config)
_HARMLESS = """
    _attn_implementation _attn_implementation_autoset _commit_hash _name_or_path architectures attention_dropout
    attention_probs_dropout_prob auto_map begin_suppress_tokens bos_token_id cache_implementation classifier_dropout
    diversity_penalty do_sample dtype early_stopping embd_pdrop eos_token_id exponential_decay_length_penalty finetuning_task
    forced_bos_token_id forced_eos_token_id gradient_checkpointing hidden_dropout hidden_dropout_prob id2label initializer_range
    is_llama_config keys_to_ignore_at_inference label2id length_penalty max_length min_length model_type no_repeat_ngram_size
    num_beam_groups num_beams num_return_sequences output_attentions output_hidden_states output_scores pad_token_id prefix
    pretraining_tp problem_type quantization_config repetition_penalty resid_pdrop return_dict return_dict_in_generate
    sbert_ce_default_activation_function sentence_transformers sep_token_id suppress_tokens task_specific_params temperature
    tf_legacy_loss tokenizer_class top_k top_p torch_dtype torchscript transformers.js_config transformers_version typical_p
    unsloth_fixed unsloth_version use_bfloat16 use_cache
"""
HARMLESS = frozenset(_HARMLESS.split())


class Config:
    """A mapping read key by key. A key that is absent or null has its default; without one it is required."""

    def __init__(self, values: Mapping[str, Any], where: str = "config.json") -> None:
        self.given = frozenset(values)
        self.values = {key: value for key, value in values.items() if value is not None}
        self.where = where
        self._read: set[str] = set()
        self._parts: dict[str, Config] = {}

    def assume(self, **defaults: Any) -> None:
        """What a family takes absent keys to be. A null stays null."""
        self.values |= {key: value for key, value in defaults.items() if key not in self.given}

    def integer(self, key: str, default: int | None = None) -> int:
        return self._typed(key, int, default)

    def number(self, key: str, default: float | None = None) -> float:
        return float(self._typed(key, (int, float), default))

    def flag(self, key: str, default: bool | None = None) -> bool:
        return self._typed(key, bool, default)

    def text(self, key: str, default: str | None = None) -> str:
        return self._typed(key, str, default)

    def optional_integer(self, key: str) -> int | None:
        return self.integer(key) if self._note(key) in self.values else None

    def optional_number(self, key: str) -> float | None:
        return self.number(key) if self._note(key) in self.values else None

    def anything(self, key: str) -> Any:
        """A value that somebody else checks; None when absent."""
        return self.values.get(self._note(key))

    def items(self, key: str, of: type[T]) -> tuple[T, ...] | None:
        """A list of strings or numbers; None when absent."""
        if self._note(key) not in self.values:
            return None
        value = self._typed(key, list, None)
        if of is float:
            value = [item.get("__float__", "") if isinstance(item, dict) else item for item in value]
            value = [inf if item == "Infinity" else item for item in value]  # JSON itself has no word for it
        if not all(isinstance(item, (int, float) if of is float else of) for item in value):
            raise ConfigError(f"{self.where}: every item of {key} must be {of.__name__}")
        return tuple(map(of, value))

    def integers(self, key: str) -> tuple[int, ...] | None:
        """A list of whole numbers; None when absent."""
        if self._note(key) not in self.values:
            return None
        value = self._typed(key, list, None)
        if not all(type(item) is int for item in value):
            raise ConfigError(f"{self.where}: every item of {key} must be a whole number")
        return tuple(value)

    def pairs(self, key: str) -> list[tuple[list[str], int]]:
        """A list of [[text, ...], number]."""
        value = self._typed(key, list, None)
        if not all(_is_pair(item) for item in value):
            raise ConfigError(f"{self.where}: {key} must be a list of [[text, ...], number], not {value!r}")
        return [(list(texts), int(number)) for texts, number in value]

    def ignore(self, *keys: str) -> None:
        """Keys that change nothing in this family."""
        self._read.update(keys)

    def first(self, key: str) -> str:
        """The first string of a list; "" where there is none."""
        return (self.items(key, str) or ("",))[0]

    def size(self, key: str, default: int) -> int:
        """How many entries a nested object has."""
        return len(self._typed(key, dict, {})) or default

    def part(self, key: str) -> "Config | None":
        """A nested object, whose keys are watched too. None when absent."""
        if self._note(key) not in self.values:
            return None
        if key not in self._parts:
            self._parts[key] = Config(self._typed(key, dict, {}), f"{self.where}: {key}")
        return self._parts[key]

    def only(self, key: str, *allowed: Any) -> None:
        """Refuse any value but these; absent is fine."""
        value = self.values.get(self._note(key), allowed[0])
        if value not in allowed:
            raise ConfigError(f"{self.where}: {key} = {value!r} is not supported, only {' or '.join(map(repr, allowed))}")

    def finish(self) -> None:
        """Raise ConfigError when a key was never read and is not known to be harmless."""
        unread = sorted(self.values.keys() - self._read - HARMLESS)
        if unread:
            raise ConfigError(f"{self.where}: nobody read {', '.join(unread)}; the model might not be what it asks for")
        for part in self._parts.values():
            part.finish()

    def _note(self, key: str) -> str:
        self._read.add(key)
        return key

    def _typed(self, key: str, kind: Any, default: Any) -> Any:
        value = self.values.get(self._note(key), default)
        if value is None:
            raise ConfigError(f"{self.where}: {key} is missing")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"{self.where}: {key} = {value!r} has the wrong type")
        return value


def _is_pair(item: Any) -> bool:
    match item:
        case [[*texts], int()]:
            return all(isinstance(text, str) for text in texts)
        case _:
            return False


ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


def activation(config: Config, key: str, default: str | None = None) -> Activation:
    name = config.text(key, default)
    if name not in ACTIVATIONS:
        raise ConfigError(f"{config.where}: {key} = {name!r} is not supported, only {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def rope(config: Config, dim: int, kind: str = "full_attention") -> Rope:
    """`rope_parameters` (transformers 5; possibly one for each kind of layer) or `rope_theta` beside `rope_scaling`
    (transformers 4). `dim`: of a head."""
    part = config.part("rope_parameters") or config.part("rope_scaling") or Config({})
    part = part.part(kind) or part
    rotated = dim * part.number("partial_rotary_factor", config.number("partial_rotary_factor", 1.0))
    base = part.number("rope_theta", config.number("rope_theta", 10_000.0))
    sections = part.integers("mrope_section")
    axes = None if sections is None else Sections(counts=sections, interleaved=part.flag("mrope_interleaved", False))
    if axes is not None and sum(axes.counts) != int(rotated) // 2:
        raise ConfigError(f"{part.where}: mrope_section = {list(axes.counts)} must be {int(rotated) // 2} together, one for each frequency")
    return Rope(dim=int(rotated), base=base, scaling=_scaling(part, config, int(rotated)), axes=axes)


def _scaling(c: Config, model: Config, rotated: int) -> Scaling | None:
    older = c.text("type", "default")
    match c.text("rope_type", older):
        case "default" | "none" | "mrope":
            return None
        case "linear":
            return Linear(factor=c.number("factor"))
        case "llama3":
            low, high = c.number("low_freq_factor"), c.number("high_freq_factor")
            return Llama3(factor=c.number("factor"), original=_original(c, model), low_freq_factor=low, high_freq_factor=high)
        case "yarn":
            return _yarn(c, _original(c, model))
        case "longrope" | "su":
            return _longrope(c, model, rotated)
        case "dynamic":
            return DynamicNtk(original=_original(c, model), factor=c.number("factor"))
        case "divided":  # ours: what models/gguf/config.py makes of the tensor rope_freqs
            return Divided(factors=c.items("factors", float) or ())
        case other:
            raise ConfigError(f"{c.where}: rope_type = {other!r} is not supported")


def _yarn(c: Config, original: int) -> Yarn:
    factor, fast, slow = c.number("factor"), c.number("beta_fast", 32.0), c.number("beta_slow", 1.0)
    amplitude, truncate = c.optional_number("attention_factor"), c.flag("truncate", True)
    mscale, over = c.number("mscale", 0.0), c.number("mscale_all_dim", 0.0)
    if amplitude is None and mscale and over and factor > 1:
        amplitude = (0.1 * mscale * log(factor) + 1) / (0.1 * over * log(factor) + 1)
    return Yarn(factor=factor, original=original, beta_fast=fast, beta_slow=slow, attention_factor=amplitude, truncate=truncate)


def _longrope(c: Config, model: Config, rotated: int) -> LongRope:
    original, short, long = _original(c, model), c.items("short_factor", float), c.items("long_factor", float)
    if short is None or long is None or not len(short) == len(long) == rotated // 2:
        raise ConfigError(f"{c.where}: short_factor and long_factor must each have {rotated // 2} numbers, one for each frequency")
    factor = c.number("factor", model.integer("max_position_embeddings") / original)
    usual = c.number("attention_factor", sqrt(1 + log(factor) / log(original)) if factor > 1 else 1.0)
    amplitudes = c.number("short_mscale", usual), c.number("long_mscale", usual)
    return LongRope(original=original, short=short, long=long, short_amplitude=amplitudes[0], long_amplitude=amplitudes[1])


def _original(c: Config, model: Config) -> int:
    """Beside the scaling, or beside the length it scales to."""
    longest = model.integer("max_position_embeddings")
    return c.integer("original_max_position_embeddings", model.integer("original_max_position_embeddings", longest))
