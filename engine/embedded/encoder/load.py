"""From a model directory to an encoder in memory: everything EmbeddedEncoder needs, nothing running."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from engine.api import EncoderInfo, Judge, ReadsImages
from engine.embedded.encoder.native import NativeEncoderBackend, supports_encoder
from engine.embedded.encoder.on_torch import TorchEncoderBackend
from engine.embedded.kernels.library import Library
from engine.embedded.load import cores, open_device
from engine.embedded.step.capture import Captured
from models.batch import Backend, Batch
from models.build import build_encoder
from models.encoders import EncoderFolder, open_encoder
from models.families import is_pair
from models.hf import ConfigError
from models.pairs import open_pair
from models.spec import Arch, Classifier, Output, Patches, Pooled, Probe, width
from models.stacks.encoder import Encoder
from models.weights import WeightsError, load


class UnsupportedEncoder(ValueError):
    """models/ does not know what the folder holds; some library may."""


class EncoderModel(Protocol):
    """What models.build_encoder returns."""

    def __call__(self, read: Tensor, batch: Batch) -> Tensor: ...  # tokens_T, or the numbers of patches -> x_TD
    def output(self, x_TD: Tensor, batch: Batch) -> Tensor: ...  # float32 y_SE


@dataclass(frozen=True, kw_only=True)
class EncoderLimits:
    """A step is what a question may have to wait for. One that needs more tokens, because the model reads longer texts,
    is computed alone."""

    max_step_tokens: int = 512
    max_sentences: int = 64  # of a step
    max_waiting: int = 8192  # sentences of all calls; a single call may bring more


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    device: str = "cpu"
    dtype: Literal["int8", "bfloat16", "float32"] | None = None  # None: int8 where its kernels run, float32 on other CPUs, else bfloat16
    threads: int | None = None  # None: as many as there are cores
    level: str | None = None  # one of kernels.library.levels(); None: the best
    limits: EncoderLimits = field(default_factory=EncoderLimits)


@dataclass(frozen=True)
class Sight:
    """The encoder of images, alone or beside one of texts."""

    model: EncoderModel
    patches: Patches


@dataclass(frozen=True, kw_only=True)
class LoadedEncoder:
    """What EmbeddedEncoder runs. `recorder`: see step/capture.py; None: every step is computed anew. `segments`: kinds of
    tokens that the model tells apart, 0 where it tells none. `filler`: a token that every text is filled up with to the longest one."""

    model: EncoderModel
    info: EncoderInfo
    segments: int
    device: torch.device
    recorder: Callable[[Callable[[], Tensor]], Captured] | None
    threads: int | None
    limits: EncoderLimits
    sight: Sight | None = None
    filler: int | None = None


def load_encoder(directory: Path, options: EncoderOptions) -> LoadedEncoder:
    """A folder in Hugging Face's or sentence-transformers' layout. Raises UnsupportedEncoder, and ValueError when the options
    do not fit this computer."""
    device = open_device(options.device)
    config = json.loads((directory / "config.json").read_text()) if (directory / "config.json").exists() else {}
    if is_pair(config):
        return _load_pair(directory, device, options)
    try:
        folder = open_encoder(directory)
        machine = _machine(folder.arch, device, options)
        model = _filled(folder, machine.backend, device)
    except (ConfigError, WeightsError) as error:
        raise UnsupportedEncoder(f"{directory.name}: {error}") from error
    patches = folder.arch.patches
    return LoadedEncoder(
        model=model,
        info=_info(folder) if patches is None else replace(_info(folder), images=_images(patches, folder.arch), max_tokens=0),
        segments=folder.arch.segments,
        sight=None if patches is None else Sight(model, patches),
        device=device,
        recorder=machine.recorder,
        threads=machine.threads,
        limits=options.limits,
    )


def _load_pair(directory: Path, device: torch.device, options: EncoderOptions) -> LoadedEncoder:
    """An encoder of texts and one of images."""
    try:
        folder = open_pair(directory)
        image = _machine(folder.pair.image, device, options)
        causal = options.dtype == "int8" and not supports_encoder(folder.pair.text)  # CLIP's texts, which are short: no kernel reads them
        text = _machine(folder.pair.text, device, replace(options, dtype="float32") if causal else options)
        models = _filled(folder.text, text.backend, device), _filled(folder.image, image.backend, device)
    except (ConfigError, WeightsError) as error:
        raise UnsupportedEncoder(f"{directory.name}: {error}") from error
    patches = folder.pair.image.patches
    assert patches is not None
    images = _images(patches, folder.pair.image)
    return LoadedEncoder(
        model=models[0],
        info=replace(_info(folder.text), images=images, judge=Judge(folder.pair.judged, folder.scale, folder.offset)),
        segments=0,
        device=device,
        recorder=text.recorder,
        threads=image.threads,
        limits=options.limits,
        sight=Sight(models[1], patches),
        filler=folder.pair.filler,
    )


def _images(patches: Patches, arch: Arch) -> ReadsImages:
    return ReadsImages(patches.channels, patches.size, arch.context, patches.class_token)


def _filled(folder: EncoderFolder, backend: Backend, device: torch.device) -> Encoder:
    with torch.device(device):
        model = build_encoder(folder.arch, backend, context=folder.arch.context).eval()
    load(model, folder.arch, folder.recipes, folder.tensors)
    return model


@dataclass(frozen=True)
class _Machine:
    """`threads`: of PyTorch's operations; None: its own choice."""

    backend: Backend
    recorder: Callable[[Callable[[], Tensor]], Captured] | None
    threads: int | None


def _machine(arch: Arch, device: torch.device, options: EncoderOptions) -> _Machine:
    """The fastest that this computer and `arch` allow."""
    if device.type == "cpu" and options.dtype != "float32" and supports_encoder(arch):
        library = Library.open(options.threads or cores(), options.level)
        if library is not None:
            native = NativeEncoderBackend(library, 16 if options.dtype == "bfloat16" else 8)
            return _Machine(native, native.kernels.record, 1)  # PyTorch's threads would compete with the kernels' own
    if options.dtype == "int8":
        raise ValueError("dtype = 'int8' needs the compiled CPU kernels, and a model whose sizes fit them: use bfloat16 or float32")
    dtype = getattr(torch, options.dtype or ("float32" if device.type == "cpu" else "bfloat16"))
    return _Machine(TorchEncoderBackend(device, dtype), None, options.threads)


def _info(folder: EncoderFolder) -> EncoderInfo:
    arch = folder.arch
    config = json.loads((folder.body / "config.json").read_text())
    return EncoderInfo(
        output="score" if isinstance(arch.output, Classifier) else "vector",
        width=width(arch),
        max_tokens=arch.context,
        vocab=arch.vocab,
        pooling=_pooling(arch.output),
        architecture=config["architectures"][0],
    )


def _pooling(output: Output) -> str:
    if not isinstance(output, Pooled):
        return ""
    kinds = ("probe",) if isinstance(output.pooling, Probe) else output.pooling
    return "+".join([*kinds, *(["normalize"] if output.normalize else [])])
