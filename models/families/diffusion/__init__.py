"""Data sheets of what makes pictures, by the `_class_name` of diffusers' config.json."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from models.hf import Config, ConfigError
from models.recipes import Recipe, Recipes
from models.spec.diffusion import Autoencoder, Denoiser, Mmdit, PixArt, UNet

DENOISERS = {
    "DiTTransformer2DModel": "models.families.diffusion.dit",
    "Transformer2DModel": "models.families.diffusion.dit",  # as DiT was published first
}
UNETS = {"UNet2DConditionModel": "models.families.diffusion.unet"}
TEXT_DENOISERS = {
    "SD3Transformer2DModel": "models.families.diffusion.sd3",
    "FluxTransformer2DModel": "models.families.diffusion.flux",
    "PixArtTransformer2DModel": "models.families.diffusion.pixart",
    "Transformer2DModel": "models.families.diffusion.pixart",  # as PixArt was published first
}
AUTOENCODERS = {
    "AutoencoderKL": "models.families.diffusion.kl_autoencoder",
    "AutoencoderTiny": "models.families.diffusion.tiny_autoencoder",
}
Rule = Callable[[str], Recipe]  # from the name of one of our tensors to its recipe


def denoiser_of(values: Mapping[str, Any], where: str) -> tuple[Denoiser, Recipes]:
    """`where`: of config.json, for errors. Raises ConfigError for what is not supported, and for a key that nobody read."""
    sheet, config = _sheet(DENOISERS, values, where)
    return _finished(config, sheet.denoiser), sheet.WEIGHTS


def unet_of(values: Mapping[str, Any], where: str) -> tuple[UNet, Rule]:
    sheet, config = _sheet(UNETS, values, where)
    return _finished(config, sheet.denoiser), sheet.recipe


def text_denoiser_of(values: Mapping[str, Any], where: str) -> tuple[Mmdit | PixArt, Rule]:
    sheet, config = _sheet(TEXT_DENOISERS, values, where)
    spec = _finished(config, sheet.denoiser)
    return spec, sheet.rule(spec)


def autoencoder_of(values: Mapping[str, Any], where: str) -> tuple[Autoencoder, Rule]:
    """The same, with a rule: nearly all of its tensors have the names of our modules."""
    sheet, config = _sheet(AUTOENCODERS, values, where)
    return _finished(config, sheet.autoencoder), sheet.recipe


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
