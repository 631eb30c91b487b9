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
    DynamicShift,
    Euler,
    EulerAncestral,
    FlowMatching,
    Plms,
    Prediction,
    Sampler,
    Spacing,
)
from models.spec.diffusion.texts import Joined, LastRows, MaskedT5, PairedRows, PairedRowsAndT5, TextEncoder, VectorAndT5
from models.spec.diffusion.unet import PixelTransformer, Sized, UNet, UNetStage

__all__ = [
    "Autoencoder",
    "Betas",
    "Ddim",
    "Ddpm",
    "Denoiser",
    "Dit",
    "DitLayer",
    "DpmSolver",
    "DynamicShift",
    "Euler",
    "EulerAncestral",
    "FixedGrid",
    "FlowMatching",
    "Joined",
    "KlAutoencoder",
    "LastRows",
    "Latents",
    "MaskedT5",
    "Mmdit",
    "OneStream",
    "PairedRows",
    "PairedRowsAndT5",
    "PixArt",
    "PixelTransformer",
    "Plms",
    "Prediction",
    "RotaryGrid",
    "Sampler",
    "Sinusoids",
    "Sized",
    "Spacing",
    "TextEncoder",
    "TinyAutoencoder",
    "TwoStreams",
    "UNet",
    "UNetStage",
    "VectorAndT5",
]
