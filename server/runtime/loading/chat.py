"""Opens a chat model with the engine that the settings want. Each engine is imported only where it is taken."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.api import Engine, VisionInfo
from server.runtime.loading.embedded import open_embedded
from server.runtime.runtime import ChatModel
from server.runtime.settings import Settings
from server.text.sampling_defaults import read_sampling_defaults
from server.weights.catalog import RECOMMENDED
from server.weights.progress import Progress

if TYPE_CHECKING:
    from server.text.images.sight import Sight
    from server.text.tokenizer import ChatTokenizer

SAMPLE = "Grüße, 東京! It's 12:34 — x = [1, 2]\n\n  end"  # which another tokenizer would split otherwise


def open_chat_model(settings: Settings, name: str, progress: Progress, prompts: Sequence[str]) -> ChatModel:
    """`prompts`: what this server itself writes at the beginning of prompts, whose place in the prefix cache all keys share. Raises
    PullError, ValueError."""
    from server.text.shared_prefix import shared_prefixes
    from server.weights.pull import pull
    from server.weights.safetensors_copy import as_safetensors

    if settings.engine == "remote":  # no weights are needed beside a tokenizer
        source = settings.tokenizer or settings.models[name]
        folder = Path(source).expanduser()
        text = open_text(settings, source, folder if (folder / "tokenizer.json").exists() else pull(source, progress=progress))
        return ChatModel(name, _open_remote(settings, name, text), text)
    directory = pull(settings.models[name], progress=progress)
    text = open_text(settings, settings.models[name], directory)
    if takes_vllm(settings, directory):
        return ChatModel(name, _open_vllm(settings, name, as_safetensors(directory, progress)), text)
    shared = shared_prefixes(text, [*prompts, *settings.shared_prefix])
    engine = _open_embedded(settings, name, directory, shared)
    return ChatModel(name, engine, text, sight=open_sight(directory, engine.info.vision, text))


def open_text(settings: Settings, source: str, directory: Path) -> "ChatTokenizer":
    from server.text.tokenizer import load_tokenizer

    text = load_tokenizer(directory)
    if settings.generation_config == "none" or text.encoder_decoder is not None:
        return text
    return replace(text, sampling=read_sampling_defaults(directory, RECOMMENDED.get(source, {})))


def open_sight(directory: Path, vision: VisionInfo | None, text: "ChatTokenizer") -> "Sight | None":
    """Raises ValueError for a model that reads images, and whose folder does not say how they are prepared."""
    if vision is None:
        return None
    from server.text.images.families import read_processor
    from server.text.images.sight import Sight

    if text.image_tokens is None or text.image_tokens.row_id != vision.marker:
        raise ValueError(f"{directory}: the tokenizer has no token for images")
    return Sight(vision, read_processor(directory))


def takes_vllm(settings: Settings, directory: Path) -> bool:
    """Raises ValueError where it is asked for, and is not there or has no way to answer this model."""
    from engine.vllm.client import choose

    if settings.excludes_vllm:
        return False
    if settings.wants_vllm and not choose.is_installed():
        raise ValueError("engine: vllm is not installed: pip install 'stoa[vllm]'")
    unserved = choose.unserved(directory)
    if settings.wants_vllm and unserved is not None:
        raise ValueError(f"engine: vllm serves no {unserved}, which reads an input before it answers: take --engine embedded")
    return settings.wants_vllm or (unserved is None and choose.is_best())


def _open_vllm(settings: Settings, name: str, directory: Path) -> Engine:
    """On a GPU vLLM takes most of its memory unless somebody has said how much; on a CPU as much as the embedded engine."""
    from engine.vllm.client import choose
    from engine.vllm.client.options import VllmOptions, open_vllm

    given = settings.model_fields_set
    limited = settings.limits_kv_memory or (settings.gpu_memory_utilization is None and not choose.is_best())
    options = VllmOptions(
        directory=directory,
        device=_device(settings),
        context=settings.context,
        kv_memory=settings.kv_memory_of(name) << 20 if limited else None,
        memory_utilization=settings.gpu_memory_utilization,
        max_running=settings.max_running,
        max_waiting=settings.max_waiting,
        max_step_tokens=settings.max_step_tokens if "max_step_tokens" in given else None,
        threads=settings.threads,
        tensor_parallel=settings.tensor_parallel,
        pipeline_parallel=settings.pipeline_parallel,
        data_parallel=settings.data_parallel,
        executor=settings.distributed_executor,
        eager=settings.enforce_eager,
    )
    return open_vllm(options)


def _device(settings: Settings) -> Literal["cpu", "cuda"] | None:
    """None: nobody has said."""
    if "device" not in settings.model_fields_set:
        return None
    if ":" in settings.device:
        raise ValueError("device: the engine 'vllm' takes the devices that CUDA_VISIBLE_DEVICES names; say cuda")
    return "cpu" if settings.device == "cpu" else "cuda"


def _open_remote(settings: Settings, name: str, text: "ChatTokenizer") -> Engine:
    from engine.remote.connect import RemoteOptions, connect

    options = RemoteOptions(
        urls=settings.upstream,
        vocab=text.backend.get_vocab_size(),
        sample=(SAMPLE, text.encode(SAMPLE)),
        model=settings.upstream_model_of(name),
        context=settings.context,
        key=settings.upstream_api_key.get_secret_value() if settings.upstream_api_key else None,
        patience=settings.upstream_timeout,
    )
    return connect(options)


def _open_embedded(settings: Settings, name: str, directory: Path, shared: Sequence[tuple[int, ...]]) -> Engine:
    engine = open_embedded(settings, name, directory, shared)
    if not engine.has_finite_logits():
        raise ValueError(f"{directory}: the model computes no finite numbers, its weights are damaged; pull it again")
    return engine
