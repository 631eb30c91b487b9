"""TAESD, as diffusers publishes it (AutoencoderTiny)."""

from typing import Any

from models.hf import ACTIVATIONS, Config, ConfigError, activation
from models.recipes import Copy, Recipe
from models.spec.diffusion import Latents, TinyAutoencoder
from models.spec.ffn import Named


def autoencoder(config: Config) -> TinyAutoencoder:
    config.ignore("_class_name", "_diffusers_version", "force_upcast", "latent_magnitude", "latent_shift", "block_out_channels")
    for key, value in (("upsample_fn", "nearest"), ("upsampling_scaling_factor", 2), ("shift_factor", 0.0)):
        config.only(key, value)
    channels = config.integer("in_channels", 3)
    config.only("out_channels", channels)
    encoder, decoder = _integers(config, "num_encoder_blocks", (1, 3, 3, 3)), _integers(config, "num_decoder_blocks", (3, 3, 3, 1))
    if len(encoder) != len(decoder):
        raise ConfigError(f"{config.where}: num_encoder_blocks and num_decoder_blocks must have as many stages as each other")
    return TinyAutoencoder(
        channels=channels,
        latents=Latents(channels=config.integer("latent_channels", 4), scale=config.number("scaling_factor", 1.0)),
        width=_width(config),
        encoder=encoder,
        decoder=decoder,
        activation=_activation(config),
    )


def _integers(config: Config, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(int, config.items(key, float) or default))


def _width(config: Config) -> int:
    keys = ("encoder_block_out_channels", "decoder_block_out_channels")
    widths = {width for key in keys for width in _integers(config, key, (64,))}
    if len(widths) > 1:
        raise ConfigError(f"{config.where}: {' and '.join(keys)} must be all alike, not {sorted(widths)}")
    return widths.pop()


def _activation(config: Config) -> Named:
    found = activation(config, "act_fn", "relu")
    if not isinstance(found, str):
        raise ConfigError(f"{config.where}: act_fn must be one of {', '.join(ACTIVATIONS)}")
    return found


def recipe(ours: str) -> Recipe:
    """Of one of our tensors: that of the same name."""
    return Copy(ours)


TINY: dict[str, Any] = {
    "_class_name": "AutoencoderTiny",
    "in_channels": 3,
    "out_channels": 3,
    "encoder_block_out_channels": [12, 12, 12],
    "decoder_block_out_channels": [12, 12, 12],
    "num_encoder_blocks": [1, 2, 1],
    "num_decoder_blocks": [2, 1, 1],
    "latent_channels": 4,
    "act_fn": "relu",
    "scaling_factor": 0.7,
}
