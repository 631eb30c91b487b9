"""Formats of quantized checkpoints, by `quantization_config` in config.json. A matrix that fits stays in small integers
(`models.quant.Grouped`), any other is unpacked when it is read."""

from collections.abc import Callable, Mapping
from typing import Any

from models.formats import awq, bitsandbytes, compressed, fp8, gptq, mxfp4
from models.formats.packed import Format, Unpacked
from models.hf import Config, ConfigError
from models.quant import Weight

FORMATS: Mapping[str, Callable[[Config], Format]] = {
    "awq": awq.read,
    "bitsandbytes": bitsandbytes.read,
    "compressed-tensors": compressed.read,
    "fp8": fp8.read,
    "gptq": gptq.read,
    "mxfp4": mxfp4.read,
}


def unpacked(tensors: Mapping[str, Weight], quantization: Mapping[str, Any]) -> Unpacked:
    """Raises ConfigError for a method, or an option of one, that is not supported."""
    config = Config(quantization, "config.json: quantization_config")
    method = config.text("quant_method")
    if method not in FORMATS:
        raise ConfigError(f"{config.where}: quant_method = {method!r} is not supported, only {', '.join(FORMATS)}")
    packing = FORMATS[method](config)
    config.finish()
    return Unpacked(tensors, packing)
