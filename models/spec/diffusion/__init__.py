"""The vocabulary of models that make pictures out of noise. Nothing here imports torch."""

from models.spec.diffusion.samplers import Betas, Ddim, Ddpm, DpmSolver, Euler, EulerAncestral, FlowMatching, Prediction, Sampler, Spacing

__all__ = [
    "Betas",
    "Ddim",
    "Ddpm",
    "DpmSolver",
    "Euler",
    "EulerAncestral",
    "FlowMatching",
    "Prediction",
    "Sampler",
    "Spacing",
]
