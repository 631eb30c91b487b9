"""The vocabulary of models that make pictures out of noise. Nothing here imports torch."""

from models.spec.diffusion.autoencoders import Autoencoder, KlAutoencoder, Latents, TinyAutoencoder
from models.spec.diffusion.denoisers import Denoiser, Dit, DitLayer, Sinusoids
from models.spec.diffusion.mmdit import FixedGrid, Mmdit, OneStream, RotaryGrid, TwoStreams
from models.spec.diffusion.pixart import PixArt
from models.spec.diffusion.samplers import (
    Betas,
    Ddim,
    Ddpm,
    DpmSolver,
    Euler,
    EulerAncestral,
    FlowMatching,
    Plms,
    Prediction,
    Sampler,
    Spacing,
)
from models.spec.diffusion.unet import PixelTransformer, UNet, UNetStage

__all__ = [
    "Autoencoder",
    "Betas",
    "Ddim",
    "Ddpm",
    "Denoiser",
    "Dit",
    "DitLayer",
    "DpmSolver",
    "Euler",
    "EulerAncestral",
    "FixedGrid",
    "FlowMatching",
    "KlAutoencoder",
    "Latents",
    "Mmdit",
    "OneStream",
    "PixArt",
    "PixelTransformer",
    "Plms",
    "Prediction",
    "RotaryGrid",
    "Sampler",
    "Sinusoids",
    "Spacing",
    "TinyAutoencoder",
    "TwoStreams",
    "UNet",
    "UNetStage",
]
