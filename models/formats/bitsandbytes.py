"""bitsandbytes. 4 bits (QLoRA, Dettmers et al. 2023, arXiv 2305.14314): `weight` two numbers a byte, the high half first, each the
number of a level in `weight.quant_map` times `weight.absmax` of its block of the flattened matrix. Double quantized, absmax is uint8:
a level of `weight.nested_quant_map` times `weight.nested_absmax` of its block, plus an offset. 8 bits (LLM.int8(), Dettmers et al.
2022, arXiv 2208.07339): `weight` int8 [O, I] times `SCB` / 127 of its row."""

import json
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from models.formats.bits import grouped
from models.formats.packed import Parts
from models.hf import Config
from models.quant import Weight

_F32, _U8 = (torch.float32,), (torch.uint8,)
_STATES = ("weight.quant_state.bitsandbytes__nf4", "weight.quant_state.bitsandbytes__fp4")


@dataclass(frozen=True)
class BitsAndBytes:
    mains: tuple[str, ...] = ("weight",)
    parts: tuple[str, ...] = (
        *("SCB", "weight_format", *_STATES, "weight.absmax", "weight.quant_map"),
        *("weight.nested_absmax", "weight.nested_quant_map"),
    )

    def weight(self, parts: Parts) -> Weight:
        stored = parts.tensors["weight"]
        if "SCB" in parts or stored.dtype == torch.int8:
            return _eight(parts)
        if len(parts.tensors) > 1 or stored.dtype == torch.uint8:
            return _four(parts)
        return stored


def _eight(parts: Parts) -> Weight:
    weight_OI = parts.need("weight", (torch.int8,), -1, -1)
    order = parts.find("weight_format", _U8)
    if order is not None and order.item():
        raise parts.wrong("weight_format", f"= {order.item()} is not supported, only 0, row by row")
    scale_O1 = parts.need("SCB", _F32, weight_OI.shape[0])[:, None] / 127
    return grouped((weight_OI.int() + 128).to(torch.uint8), scale_O1, torch.full_like(scale_O1, 128), 8)


def _four(parts: Parts) -> Tensor:
    name = next((state for state in _STATES if state in parts), _STATES[0])
    state = _State(parts, name, parts.need(name, _U8, -1))
    shape, size = state.shape, state.integer("blocksize")
    packed, count = parts.tensors["weight"].contiguous().flatten().view(torch.uint8), prod(shape)
    if len(packed) != -(-count // 2):
        raise parts.wrong("weight", f"must have {-(-count // 2)} bytes for {list(shape)}, but has {len(packed)}")
    levels = torch.stack([packed >> 4, packed & 15], -1).flatten()[:count]
    absmax = _absmax(parts, state, -(-count // size))
    return (parts.need("weight.quant_map", _F32, 16)[levels.int()] * absmax.repeat_interleave(size)[:count]).view(shape)


def _absmax(parts: Parts, state: "_State", blocks: int) -> Tensor:
    if "weight.nested_absmax" not in parts:
        return parts.need("weight.absmax", _F32, blocks)
    size, levels = state.integer("nested_blocksize"), parts.need("weight.absmax", _U8, blocks)
    nested = parts.need("weight.nested_absmax", _F32, -(-blocks // size)).repeat_interleave(size)[:blocks]
    return parts.need("weight.nested_quant_map", _F32, 256)[levels.int()] * nested + state.number("nested_offset")


@dataclass(frozen=True)
class _State:
    """What is said about a matrix in JSON, kept as a tensor of bytes."""

    parts: Parts
    name: str
    content: Tensor

    def integer(self, key: str) -> int:
        value = self._read().get(key)
        if not isinstance(value, int) or value < 1:
            raise self.parts.wrong(self.name, f"must say {key}, a positive integer, but says {value!r}")
        return value

    def number(self, key: str) -> float:
        value = self._read().get(key)
        if not isinstance(value, (int, float)):
            raise self.parts.wrong(self.name, f"must say {key}, a number, but says {value!r}")
        return float(value)

    @property
    def shape(self) -> tuple[int, int]:
        match self._read().get("shape"):
            case [int(outputs), int(inputs)] if outputs > 0 and inputs > 0:
                return outputs, inputs
            case other:
                raise self.parts.wrong(self.name, f"must say shape, two positive integers, but says {other!r}")

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(bytes(self.content.tolist()))
        except ValueError as error:
            raise self.parts.wrong(self.name, f"must hold JSON: {error}") from error
        return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def read(config: Config) -> BitsAndBytes:
    config.only("bnb_4bit_quant_type", "fp4", "nf4")
    config.ignore("load_in_4bit", "load_in_8bit", "_load_in_4bit", "_load_in_8bit")  # each matrix's own tensors say it
    config.ignore("bnb_4bit_use_double_quant", "bnb_4bit_compute_dtype", "bnb_4bit_quant_storage", "llm_int8_has_fp16_weight")
    config.ignore("llm_int8_skip_modules", "llm_int8_threshold", "llm_int8_enable_fp32_cpu_offload")
    return BitsAndBytes()
