"""From a folder of diffusers to a model in memory: everything EmbeddedImageEngine needs, nothing running."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from engine.api import ImageInfo
from engine.embedded.encoder.on_torch import TorchEncoderBackend
from engine.embedded.load import open_device
from models.batch import Backend
from models.diffusion.build import build_autoencoder, build_denoiser, fill_denoiser, fill_named
from models.diffusion.folder import Pipeline, open_pipeline
from models.diffusion.schedule import most_steps
from models.spec.diffusion import Sampler
from models.stacks.diffusion.dit import Told


class DenoiserModel(Protocol):
    def __call__(self, x_NCHW: Tensor, told: Told) -> Tensor: ...


class AutoencoderModel(Protocol):
    def encode(self, x_NCHW: Tensor) -> Tensor: ...
    def decode(self, z_NCHW: Tensor) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    max_running: int = 8  # pictures of a step; one with guidance counts once
    max_waiting: int = 256


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    device: str = "cpu"
    dtype: Literal["bfloat16", "float32"] = "float32"
    threads: int | None = None  # None: as many as there are cores
    limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass(frozen=True, kw_only=True)
class LoadedImageModel:
    """`shape`: C, H and W of what the denoiser works on. `names`: of the labels."""

    denoiser: DenoiserModel
    autoencoder: AutoencoderModel | None
    sampler: Sampler
    shape: tuple[int, int, int]
    names: dict[int, str]
    info: ImageInfo
    device: torch.device
    threads: int | None
    limits: ImageLimits


def load_image_model(directory: Path, options: ImageOptions) -> LoadedImageModel:
    """Raises ConfigError or WeightsError (both ValueError) for what is not supported, and ValueError when the options do not fit this
    computer."""
    device, pipeline = open_device(options.device), open_pipeline(directory)
    backend = TorchEncoderBackend(device, getattr(torch, options.dtype))
    with torch.device(device):
        denoiser = build_denoiser(pipeline.denoiser, backend).eval()
    fill_denoiser(denoiser, pipeline.denoiser_part.recipes, pipeline.denoiser_part.tensors())
    spec = pipeline.denoiser
    return LoadedImageModel(
        denoiser=denoiser,
        autoencoder=_autoencoder(pipeline, backend, device),
        sampler=pipeline.sampler,
        shape=(spec.channels, spec.side, spec.side),
        names=pipeline.labels,
        info=_info(pipeline),
        device=device,
        threads=options.threads,
        limits=options.limits,
    )


def _autoencoder(pipeline: Pipeline, backend: Backend, device: torch.device) -> AutoencoderModel | None:
    if pipeline.autoencoder is None or pipeline.autoencoder_part is None:
        return None
    with torch.device(device):
        model = build_autoencoder(pipeline.autoencoder, backend).eval()
    fill_named(model, pipeline.autoencoder_part.recipes, pipeline.autoencoder_part.tensors())
    return model


def _info(pipeline: Pipeline) -> ImageInfo:
    spec, autoencoder = pipeline.denoiser, pipeline.autoencoder
    side = spec.side * (1 if autoencoder is None else autoencoder.factor)
    channels = spec.channels if autoencoder is None else autoencoder.channels
    return ImageInfo(width=side, height=side, channels=channels, labels=spec.labels, steps=most_steps(pipeline.sampler))
