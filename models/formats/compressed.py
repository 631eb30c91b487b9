"""compressed-tensors, which llm-compressor writes: groups of modules, each packed by a scheme of its own (models/formats/schemes.py).
How activations were rounded is not repeated: they stay as they are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from models.formats.packed import Parts
from models.formats.schemes import Scheme, weight
from models.hf import Config, ConfigError
from models.quant import Weight, WeightsError

_FORMATS = {  # the kind and bits of numbers that each may hold
    "pack-quantized": {("int", bits) for bits in range(1, 9)},
    "int-quantized": {("int", 8)},
    "float-quantized": {("float", 8)},
    "naive-quantized": {("int", 8), ("float", 8)},
    "nvfp4-pack-quantized": {("float", 4)},
    "mxfp4-pack-quantized": {("float", 4)},
    "mxfp6-pack-quantized": {("float", 6)},
    "mxfp8-quantized": {("float", 8)},
}
_EMBEDDING = re.compile(r"(.*\.)?(embed_tokens|embed_in|wte|word_embeddings)")


@dataclass(frozen=True)
class Compressed:
    schemes: Mapping[str, Scheme]  # by what they are for: a module's name, re: and a pattern, or a class
    ignore: tuple[str, ...]
    mains: tuple[str, ...] = ("weight_packed", "weight")
    parts: tuple[str, ...] = (
        *("weight_scale", "weight_zero_point", "weight_global_scale", "weight_g_idx", "weight_shape"),
        *("input_scale", "input_zero_point", "input_global_scale", "output_scale", "output_zero_point"),
    )

    def weight(self, parts: Parts) -> Weight:
        plain = parts.tensors.get("weight")
        if plain is not None and plain.dtype not in (torch.int8, torch.float8_e4m3fn) and "weight_scale" not in parts:
            return plain
        if plain is not None and "weight_packed" in parts:
            raise parts.wrong("weight_packed", "lies beside a weight that is not packed")
        return weight(self._scheme(parts.stem.removesuffix(".")), parts)

    def _scheme(self, module: str) -> Scheme:
        """As compressed-tensors chooses: by name, else by pattern, else by class."""
        if any(_matches(module, target) for target in self.ignore):
            raise WeightsError(f"{module} is packed, but quantization_config's ignore names it")
        for target in sorted(self.schemes, key=lambda target: (_is_class(target), target.startswith("re:"), target)):
            if _matches(module, target):
                return self.schemes[target]
        raise WeightsError(f"{module} is packed, but no target of quantization_config's config_groups is for it")


def _is_class(target: str) -> bool:
    return target in ("Linear", "Embedding")


def _matches(module: str, target: str) -> bool:
    if _is_class(target):
        return (target == "Embedding") == bool(_EMBEDDING.fullmatch(module))
    return re.match(target[3:], module) is not None if target.startswith("re:") else target == module


def read(config: Config) -> Compressed:
    config.ignore("quantization_status", "global_compression_ratio", "version")
    config.ignore("kv_cache_scheme", "moe_sparsity_config")  # a cache that is not rounded, experts that are already gone
    config.only("transform_config", None, {})
    _dense(config.part("sparsity_config"))
    usual, found = config.text("format"), config.part("config_groups") or Config({})
    groups = [group for name in found.values if (group := found.part(name))]
    schemes = {target: _scheme(group, usual) for group in groups for target in _targets(group)}
    return Compressed(schemes, config.items("ignore", str) or ())


def _dense(sparsity: Config | None) -> None:
    if sparsity:
        sparsity.only("format", "dense")
        sparsity.ignore("ignore", "targets", "global_sparsity", "sparsity_structure", "registry_requires_subclass")


def _targets(group: Config) -> tuple[str, ...]:
    targets = group.items("targets", str)
    for target in targets or ():
        if target.startswith("re:"):
            _expect_pattern(group.where, target)
    if not targets:
        raise ConfigError(f"{group.where}: targets is missing")
    return targets


def _expect_pattern(where: str, target: str) -> None:
    try:
        re.compile(target[3:])
    except re.error as error:
        raise ConfigError(f"{where}: target {target!r} is no pattern: {error}") from error


def _scheme(group: Config, usual: str) -> Scheme:
    group.ignore("input_activations", "output_activations")
    config, name = group.part("weights"), group.text("format", usual)
    if config is None:
        raise ConfigError(f"{group.where}: weights is missing")
    config.ignore("dynamic", "actorder", "observer", "observer_kwargs", "scale_dtype", "zp_dtype")  # the tensors say it
    kind, bits = config.text("type", "int"), config.integer("num_bits", 8)
    if (kind, bits) not in _FORMATS.get(name, ()):
        holds = "; ".join(f"{name} of {kind}" for name, kinds in _FORMATS.items() for kind in sorted({k for k, _ in kinds}))
        raise ConfigError(f"{group.where}: format = {name!r} of {bits}-bit {kind} is not supported, only {holds}")
    symmetric, (rows, columns) = config.flag("symmetric", True), _block(config)
    if kind == "float" and not symmetric:
        raise ConfigError(f"{config.where}: symmetric = False is not supported of floats")
    return Scheme(name, kind, bits, symmetric, rows, columns)


def _block(config: Config) -> tuple[int, int]:
    """Rows and columns that share a scale, 0 for all."""
    size = config.optional_integer("group_size")
    inferred = "tensor" if size is None else "group" if size > 0 else "channel"
    shape = config.integers("block_structure") or ()
    match config.text("strategy", inferred):
        case "tensor":
            return 0, 0
        case "channel":
            return 1, 0
        case "group" | "tensor_group" if size is not None and size > 0:
            return 1, size
        case "block" if len(shape) == 2 and min(shape) > 0:
            return int(shape[0]), int(shape[1])
        case other:
            raise ConfigError(f"{config.where}: strategy = {other!r} with group_size {size} and block_structure {shape} is not supported")
