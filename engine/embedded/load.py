"""From a prepared model directory to a model in memory with its pages: everything an engine needs, nothing running."""

import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from engine.api import CrossInfo, DenoiserInfo, ModelInfo, ReaderInfo, ReadsFrames, ReadsTokens, VisionInfo
from engine.embedded.denoise.scheme import Scheme, scheme_of
from engine.embedded.kernels.library import Library
from engine.embedded.memory.page_pool import PAGE
from engine.embedded.memory.sizes import STATE_NUMBER, bytes_of_page, page_counts, slot_count
from engine.embedded.native.backend import NativeBackend
from engine.embedded.native.kept import can_keep, kept
from engine.embedded.native.ops import Recordings
from engine.embedded.native.supports import supports
from engine.embedded.on_torch.backend import TorchBackend
from engine.embedded.on_torch.cuda_graph import CudaGraphs
from engine.embedded.on_torch.linear import quantized
from engine.embedded.on_torch.pages import Storage
from engine.embedded.scheduler import Limits
from engine.embedded.speculation.drafter import Drafter
from engine.embedded.speculation.ngram import NGrams
from engine.embedded.step.capture import Recorder
from engine.embedded.step.runner import Model
from engine.end_tokens import end_tokens_of, read_object
from models.batch import Backend
from models.build import build
from models.checkpoint import open_checkpoint
from models.describe import parameters, state_bytes
from models.families import arch_of, recipes_of
from models.families.multimodal import parts
from models.spec import (
    Arch,
    CrossVision,
    Frames,
    OwnEmbedding,
    Paged,
    Patches,
    Rope,
    SharedEmbedding,
    Tower,
    Vision,
    long_ropes,
    tower,
    turned_ropes,
)
from models.stacks.decoder import Decoder
from models.stacks.tiles import CrossVisionStack
from models.stacks.vision import VisionStack
from models.weights import load

BITS = {"int4": 4, "int8": 8}


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    device: str = "cpu"
    quantize: Literal["int4", "int8"] | None = None  # dense matrices of a CPU model; a quantized checkpoint stays as it is
    context: int | None = None  # tokens; None: what the checkpoint was made for
    kv_memory: int  # bytes for K and V and for states, all layers together
    dtype: torch.dtype = torch.bfloat16
    threads: int | None = None  # of the engine's tensor operations; None: PyTorch's choice
    limits: Limits
    speculative: Literal["auto", "ngram", "off"] = "auto"  # auto: ngram where a row's numbers do not depend on the rows beside it
    packed: Path | None = None  # folder in which weights are kept as the kernels read them; None: they are made at each start


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """What EmbeddedEngine runs. `tokenizer`: content of tokenizer.json, for grammars.
    `end_tokens`: tokens that end text, by the checkpoint's own account."""

    model: Model
    info: ModelInfo
    pages: dict[Paged, int]
    slots: int | None = None  # of states, if it has any
    page_bytes: int = 0  # that all pages take, and all slots
    slot_bytes: int = 0
    ropes: tuple[Rope, ...] = ()  # those whose angles depend on how long a sequence may become
    device: torch.device
    recorder: Recorder | None
    tokenizer: str
    end_tokens: tuple[int, ...]
    threads: int | None
    limits: Limits
    scheme: Scheme | None = None  # of a model that denoises
    vision: VisionStack | CrossVisionStack | None = None  # of a vision-language model
    drafter: Drafter | None = None  # guesses tokens; not of a model that denoises
    discard: Callable[[Mapping[Paged, Sequence[int]]], None] = lambda pages: None  # gives back the memory of free pages


def load_model(directory: Path, options: LoadOptions) -> LoadedModel:
    """Raises models.hf.ConfigError, models.weights.WeightsError and sizes.TooLittleMemory (all ValueError) when the
    directory or the options ask for what cannot be done."""
    device = open_device(options.device)
    config = read_object(directory / "config.json")
    arch = arch_of(config)
    scheme = scheme_of(arch)
    context = _context(arch, options.context)
    if scheme is not None and scheme.block is not None:
        context = context // scheme.block * scheme.block
    pages = page_counts(arch, context=context, memory=options.kv_memory, number_bytes=options.dtype.itemsize, limits=options.limits)
    slots = slot_count(arch, memory=options.kv_memory, limits=options.limits)
    machine = open_machine(arch, pages, options, slots)
    if machine.threads is not None:
        torch.set_num_threads(machine.threads)  # two that share a core wait for one another at each of very many small steps
    model = _model(directory, config, arch, machine.backend, context, options)
    return LoadedModel(
        model=model,
        info=ModelInfo(
            context=context,
            vocab=arch.vocab,
            architecture=config["architectures"][0],
            parameters=parameters(arch),
            reader=None if arch.encoder is None else _reader(arch, arch.encoder, directory, config),
            vision=None if arch.vision is None else _vision(arch.vision, context, pages),
            denoiser=None if scheme is None else DenoiserInfo(block=scheme.block),
        ),
        pages=pages,
        slots=slots,
        page_bytes=sum(bytes_of_page(arch, options.dtype.itemsize)[layout] * count for layout, count in pages.items()),
        slot_bytes=(slots or 0) * state_bytes(arch, STATE_NUMBER),
        ropes=(*long_ropes(arch), *turned_ropes(arch)),
        device=device,
        recorder=machine.recorder,
        tokenizer=tokenizer.read_text(encoding="utf-8") if (tokenizer := directory / "tokenizer.json").exists() else "",
        end_tokens=end_tokens_of(directory),
        threads=machine.threads,
        limits=options.limits,
        scheme=scheme,
        vision=model.vision,
        drafter=NGrams() if _speculates(options, arch, machine.backend) else None,
        discard=machine.backend.discard if isinstance(machine.backend, NativeBackend) else lambda pages: None,
    )


def _speculates(options: LoadOptions, arch: Arch, backend: Backend) -> bool:
    invariant = isinstance(backend, NativeBackend)
    return scheme_of(arch) is None and (options.speculative == "ngram" or (options.speculative == "auto" and invariant))


@dataclass(frozen=True)
class Machine:
    """What runs a model's arithmetic. `threads`: of PyTorch's operations; None: its own choice."""

    backend: Backend
    recorder: Recorder | None
    threads: int | None


def open_machine(arch: Arch, pages: dict[Paged, int], options: LoadOptions, slots: int | None = None) -> Machine:
    """The fastest that this computer and `arch` allow."""
    device, bits = torch.device(options.device), BITS[options.quantize] if options.quantize else None
    if bits is not None and (device.type != "cpu" or options.dtype != torch.bfloat16):
        raise ValueError("quantize needs device cpu and bfloat16")
    if device.type == "cpu" and options.dtype == torch.bfloat16 and supports(arch):
        library = Library.open(options.threads or cores())
        if library is not None:
            native = NativeBackend(library, pages, partial(quantized, bits=bits), slots=slots or 0)
            return Machine(native, Recordings(native.kernels), 1)  # PyTorch's threads would compete with the kernels' own
    backend = TorchBackend(Storage(pages=pages, slots=slots, device=device, dtype=options.dtype, bits=bits))
    crossing = any(layer.cross is not None for layer in arch.layers)
    recorded = device.type == "cuda" and not crossing and scheme_of(arch) is None  # untested with one
    return Machine(backend, CudaGraphs(device) if recorded else None, options.threads)


def open_device(name: str) -> torch.device:
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"device = {name!r} must be cpu, cuda or cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device = {name!r}, but PyTorch finds no CUDA device")
    return torch.device(name)


@contextmanager
def inference_thread(threads: int | None, device: torch.device) -> Generator[None]:
    """Sets what PyTorch keeps per thread, in the thread that enters it; gradients are off inside."""
    if threads is not None:
        torch.set_num_threads(threads)
    if device.index is not None:
        torch.cuda.set_device(device)
    with torch.inference_mode():
        yield


def cores() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _model(directory: Path, config: dict[str, Any], arch: Arch, backend: Backend, context: int, options: LoadOptions) -> Decoder:
    with torch.device(options.device):
        model = build(arch, backend, context=context).eval()
    keeps = isinstance(backend, NativeBackend) and can_keep(model)
    file = kept(options.packed, directory, arch, options.quantize) if keeps and options.packed is not None else None
    if file is not None and file.restore(model):
        return model
    checkpoint = open_checkpoint(directory)
    load(model, arch, recipes_of(config, checkpoint.form), parts(config, checkpoint))
    if file is not None:  # a daemon: what stops meanwhile leaves no file, and the next start writes it
        threading.Thread(target=file.save, args=(model,), name="keep packed weights", daemon=True).start()
    return model


def _context(arch: Arch, wanted: int | None) -> int:
    if wanted is not None and not 1 < wanted <= arch.context:
        raise ValueError(f"context = {wanted} must lie between 2 and the {arch.context} tokens that this model was made for")
    return arch.context if wanted is None else wanted


def _vision(vision: Vision | CrossVision, context: int, pages: dict[Paged, int]) -> VisionInfo:
    read = vision.patches
    if isinstance(vision, CrossVision):
        side = read.size * read.grid.rows if read.grid else None
        most = PAGE * min(count for layout, count in pages.items() if layout.of == "encoder")
        cross = CrossInfo(rows=vision.rows, most=most, arrangements=vision.tower.arrangements)
        return VisionInfo(marker=vision.marker, channels=read.channels, patch=read.size, merge=1, side=side, rows=context, cross=cross)
    return VisionInfo(
        marker=vision.marker,
        channels=read.channels,
        patch=read.size,
        merge=vision.merge,
        side=None if read.grid is None or vision.any_size else read.size * read.grid.rows,
        rows=context,
        sees=vision.sees,
        newline=vision.newline,
    )


def _reader(arch: Arch, encoder: Tower, directory: Path, config: dict[str, Any]) -> ReaderInfo:
    path = directory / "generation_config.json"
    start = (config | (read_object(path) if path.exists() else {})).get("decoder_start_token_id")
    match encoder.input:
        case Frames(bins=bins):
            reads = ReadsFrames(frames=2 * encoder.context, bins=bins)
        case Patches():
            raise ValueError("a model whose layers look at images is not supported")
        case SharedEmbedding() | OwnEmbedding():
            reads = ReadsTokens(vocab=tower(encoder, arch.vocab).vocab)
    heads = tuple(0 if layer.cross is None else layer.cross.heads for layer in arch.layers)
    return ReaderInfo(context=encoder.context, reads=reads, start=start if isinstance(start, int) else None, heads=heads)
