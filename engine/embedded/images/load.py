"""From a folder of diffusers to a model in memory: everything EmbeddedImageEngine needs, nothing running."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from engine.api import ImageInfo, ImageRequest, OtherSizes, ReadsLabels, ReadsPrompts
from engine.embedded.encoder.on_torch import TorchEncoderBackend
from engine.embedded.images.conditions import Denoiser, LabelledDenoiser, PromptedDenoiser
from engine.embedded.images.packed import pack_convolutions
from engine.embedded.load import open_device
from models.batch import Backend
from models.build import build_encoder
from models.diffusion.build import build_autoencoder, build_denoiser, build_unet, fill_denoiser, fill_named
from models.diffusion.folder import Labelled, Pipeline, Prompted, open_pipeline
from models.diffusion.schedule import most_steps
from models.spec.diffusion import Dit, Sampler
from models.weights import load

LARGER = 4  # times as many pixels as a model was trained on are the most: attention needs their square


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
    """`shape`: C, H and W of what the denoiser works on, of pictures as it was trained on. `names`: of the labels, where there are any."""

    denoiser: Denoiser
    autoencoder: AutoencoderModel | None
    sampler: Sampler
    shape: tuple[int, int, int]
    names: dict[int, str]
    info: ImageInfo
    device: torch.device
    threads: int | None
    limits: ImageLimits

    def shape_of(self, request: ImageRequest) -> tuple[int, int, int]:
        """C, H and W of what the denoiser works on."""
        (channels, _, side), (width, height) = self.shape, self.info.size_of(request)
        factor = self.info.width // side
        return channels, height // factor, width // factor


def load_image_model(directory: Path, options: ImageOptions) -> LoadedImageModel:
    """Raises ConfigError or WeightsError (both ValueError) for what is not supported, and ValueError when the options do not fit this
    computer."""
    device, pipeline = open_device(options.device), open_pipeline(directory)
    backend, denoiser = TorchEncoderBackend(device, getattr(torch, options.dtype)), pipeline.denoiser
    spec = denoiser.spec
    return LoadedImageModel(
        denoiser=_labelled(denoiser, backend, device) if isinstance(denoiser, Labelled) else _prompted(denoiser, backend, device),
        autoencoder=_autoencoder(pipeline, backend, device),
        sampler=pipeline.sampler,
        shape=(spec.channels, spec.side, spec.side),
        names=denoiser.labels if isinstance(denoiser, Labelled) else {},
        info=_info(pipeline),
        device=device,
        threads=options.threads,
        limits=options.limits,
    )


def _labelled(found: Labelled, backend: Backend, device: torch.device) -> LabelledDenoiser:
    with torch.device(device):
        model = build_denoiser(found.spec, backend).eval()
    fill_denoiser(model, found.part.recipes, found.part.tensors())
    return LabelledDenoiser(model, device)


def _prompted(found: Prompted, backend: Backend, device: torch.device) -> PromptedDenoiser:
    with torch.device(device):
        model = build_unet(found.spec, backend).eval()
        encoder = build_encoder(found.encoder, backend, context=found.encoder.context).eval()
    fill_named(model, found.part.recipes, found.part.tensors())
    pack_convolutions(model)
    load(encoder, found.encoder, found.encoder_part.recipes, found.encoder_part.tensors())
    return PromptedDenoiser(model, encoder, device)


def _autoencoder(pipeline: Pipeline, backend: Backend, device: torch.device) -> AutoencoderModel | None:
    if pipeline.autoencoder is None or pipeline.autoencoder_part is None:
        return None
    with torch.device(device):
        model = build_autoencoder(pipeline.autoencoder, backend).eval()
    fill_named(model, pipeline.autoencoder_part.recipes, pipeline.autoencoder_part.tensors())
    return model


def _info(pipeline: Pipeline) -> ImageInfo:
    denoiser, autoencoder = pipeline.denoiser, pipeline.autoencoder
    spec = denoiser.spec
    side = spec.side * (1 if autoencoder is None else autoencoder.factor)
    channels = spec.channels if autoencoder is None else autoencoder.channels
    if isinstance(denoiser, Labelled):
        reads = ReadsLabels(denoiser.spec.labels)
    else:
        reads = ReadsPrompts(context=denoiser.encoder.context, vocab=denoiser.encoder.vocab)
    factor = side // spec.side
    return ImageInfo(
        width=side,
        height=side,
        others=None if isinstance(spec, Dit) else OtherSizes(multiple=factor * spec.multiple, pixels=LARGER * side * side),
        channels=channels,
        reads=reads,
        steps=most_steps(pipeline.sampler),
        positions=(spec.side // spec.patch) ** 2 if isinstance(spec, Dit) else spec.side**2,
    )
