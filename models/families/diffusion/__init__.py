"""Data sheets of what makes pictures, by the `_class_name` of diffusers' config.json."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from models.hf import Config, ConfigError
from models.recipes import Recipes
from models.spec.diffusion import Autoencoder, Denoiser

DENOISERS = {"DiTTransformer2DModel": "models.families.diffusion.dit"}
AUTOENCODERS = {"AutoencoderTiny": "models.families.diffusion.tiny_autoencoder"}


def denoiser_of(values: Mapping[str, Any], where: str) -> tuple[Denoiser, Recipes]:
    """`where`: of config.json, for errors. Raises ConfigError for what is not supported, and for a key that nobody read."""
    sheet, config = _sheet(DENOISERS, values, where)
    return _finished(config, sheet.denoiser), sheet.WEIGHTS


def autoencoder_of(values: Mapping[str, Any], where: str) -> tuple[Autoencoder, Recipes]:
    """The same. Its recipes are of those tensors alone whose published name is not ours."""
    sheet, config = _sheet(AUTOENCODERS, values, where)
    return _finished(config, sheet.autoencoder), getattr(sheet, "WEIGHTS", {})


def _sheet(sheets: Mapping[str, str], values: Mapping[str, Any], where: str) -> tuple[Any, Config]:
    config = Config(values, where)
    name = config.text("_class_name")
    if name not in sheets:
        raise ConfigError(f"{where}: _class_name = {name!r} is not supported, only {', '.join(sheets)}")
    return import_module(sheets[name]), config


def _finished(config: Config, read: Callable[[Config], Any]) -> Any:
    found = read(config)
    config.finish()
    return found
