"""From a folder of diffusers to a model in memory: everything EmbeddedImageEngine needs, nothing running."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from engine.api import Guidance, ImageInfo, ImageRequest, OtherSizes, ReadsLabels, ReadsPrompts, ReadsText, UsualRequest
from engine.embedded.encoder.on_torch import TorchEncoderBackend
from engine.embedded.images.conditions import (
    Denoiser,
    LabelledDenoiser,
    PromptedDenoiser,
    Teller,
    TellMaskedT5,
    TellPaired,
    TellPairedAndT5,
    TellRows,
    TellVectorAndT5,
)
from engine.embedded.images.packed import pack_convolutions
from engine.embedded.images.texts import PromptEncoder
from engine.embedded.load import open_device
from models.batch import Backend
from models.build import build_encoder
from models.diffusion.build import (
    build_autoencoder,
    build_denoiser,
    build_text_denoiser,
    build_unet,
    fill_denoiser,
    fill_named,
)
from models.diffusion.folder import Labelled, Pipeline, open_pipeline
from models.diffusion.prompted import Prompted, TextPart, TokenizerFolder
from models.diffusion.schedule import most_steps
from models.spec.diffusion import (
    Dit,
    FixedGrid,
    LastRows,
    MaskedT5,
    Mmdit,
    PairedRows,
    PairedRowsAndT5,
    PixArt,
    Sampler,
    UNet,
    VectorAndT5,
)
from models.stacks.diffusion.mmdit import MmditStack
from models.stacks.diffusion.pixart import PixArtStack
from models.stacks.diffusion.unet import UNetStack
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
    """`shape`: C, H and W of what is denoised, of pictures as the model was trained on; `patch`: how many of its pixels are one position, a
    side. `names`: of the labels, where there are any. `tokenizers`: of each text encoder, folders in the pipeline's."""

    denoiser: Denoiser
    autoencoder: AutoencoderModel | None
    sampler: Sampler
    shape: tuple[int, int, int]
    patch: int
    names: dict[int, str]
    tokenizers: tuple[TokenizerFolder, ...]
    info: ImageInfo
    device: torch.device
    threads: int | None
    limits: ImageLimits

    def shape_of(self, request: ImageRequest) -> tuple[int, int, int]:
        """C, H and W of what is denoised."""
        (channels, _, side), (width, height) = self.shape, self.info.size_of(request)
        factor = self.info.width // side
        return channels, height // factor, width // factor

    def patches_of(self, request: ImageRequest) -> int:
        _, height, width = self.shape_of(request)
        return (height // self.patch) * (width // self.patch)


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
        shape=(pipeline.channels, spec.side, spec.side),
        patch=_patch(spec),
        names=denoiser.labels if isinstance(denoiser, Labelled) else {},
        tokenizers=tuple(text.tokenizer for text in _texts(denoiser)),
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
        spec = found.spec
        model = (build_unet(spec, backend) if isinstance(spec, UNet) else build_text_denoiser(spec, backend)).eval()
        encoders = [build_encoder(text.encoder.arch, backend, context=text.encoder.context).eval() for text in _texts(found)]
    fill_named(model, found.part.recipes, found.part.tensors())
    pack_convolutions(model)
    for encoder, text in zip(encoders, _texts(found), strict=True):
        load(encoder, text.encoder.arch, text.part.recipes, text.part.tensors())
    read = [PromptEncoder(text.encoder, encoder, device) for text, encoder in zip(_texts(found), encoders, strict=True)]
    return PromptedDenoiser(read, _teller(found, model))


def _texts(found: Labelled | Prompted) -> list[TextPart]:
    return [] if isinstance(found, Labelled) else [text for text in found.texts if text is not None]


def _teller(found: Prompted, model: UNetStack | MmditStack | PixArtStack) -> Teller:
    match found.joined, model:
        case LastRows(), UNetStack():
            return TellRows(model)
        case PairedRows(), UNetStack():
            return TellPaired(model)
        case PairedRowsAndT5(absent=absent), MmditStack():
            return TellPairedAndT5(model, absent)
        case VectorAndT5(), MmditStack():
            return TellVectorAndT5(model)
        case MaskedT5(), PixArtStack():
            return TellMaskedT5(model, _texts(found)[0].encoder.context)
        case joined, _:
            raise ValueError(f"{type(joined).__name__} is no way to tell texts to a {type(model).__name__}")


def _autoencoder(pipeline: Pipeline, backend: Backend, device: torch.device) -> AutoencoderModel | None:
    if pipeline.autoencoder is None or pipeline.autoencoder_part is None:
        return None
    with torch.device(device):
        model = build_autoencoder(pipeline.autoencoder, backend).eval()
    fill_named(model, pipeline.autoencoder_part.recipes, pipeline.autoencoder_part.tensors())
    return model


def _info(pipeline: Pipeline) -> ImageInfo:
    denoiser, autoencoder = pipeline.denoiser, pipeline.autoencoder
    spec, factor = denoiser.spec, 1 if autoencoder is None else autoencoder.factor
    side = spec.side * factor
    return ImageInfo(
        width=side,
        height=side,
        others=_others(spec, factor),
        channels=spec.channels if autoencoder is None else autoencoder.channels,
        reads=_reads(denoiser),
        steps=most_steps(pipeline.sampler),
        positions=(spec.side // _patch(spec)) ** 2,
        guidance=_guidance(denoiser),
        usual=UsualRequest(steps=denoiser.usual.steps, guidance=denoiser.usual.guidance),
        fills=isinstance(denoiser, Prompted) and denoiser.fills,
        partial=isinstance(spec, Mmdit),
    )


def _patch(spec: Dit | UNet | Mmdit | PixArt) -> int:
    return 1 if isinstance(spec, UNet) else spec.patch


def _others(spec: Dit | UNet | Mmdit | PixArt, factor: int) -> OtherSizes | None:
    """`factor`: pixels of a picture for one of the latents, a side."""
    if isinstance(spec, Dit):
        return None
    longest = None
    if isinstance(spec, Mmdit) and isinstance(spec.position, FixedGrid):  # a table of places
        longest = spec.position.side * spec.patch * factor
    multiple = spec.multiple if isinstance(spec, UNet) else spec.patch
    return OtherSizes(multiple=multiple * factor, pixels=LARGER * (spec.side * factor) ** 2, longest=longest)


def _reads(denoiser: Labelled | Prompted) -> ReadsLabels | ReadsPrompts:
    if isinstance(denoiser, Labelled):
        return ReadsLabels(denoiser.spec.labels)
    encoders = [text.encoder for text in _texts(denoiser)]
    texts = tuple(ReadsText(context=each.context, vocab=each.arch.vocab, filled=each.filled) for each in encoders)
    return ReadsPrompts(texts=texts, nothing=isinstance(denoiser.joined, PairedRows) and denoiser.joined.zeros)


def _guidance(denoiser: Labelled | Prompted) -> Guidance:
    if isinstance(denoiser, Labelled) or not isinstance(denoiser.joined, VectorAndT5):
        return "computed"
    return "told" if isinstance(denoiser.spec, Mmdit) and denoiser.spec.guidance else "fixed"
