"""Opens the model of pictures: beside the chat models, on an embedded engine of its own."""

from pathlib import Path
from typing import TYPE_CHECKING

from engine.api import ReadsPrompts
from retrieval.images.decoder import ImageDecoder
from server.images.clip_tokenizer import load_clip_tokenizer
from server.images.model import ImageModel, read_defaults
from server.images.prompts import LabelReader, PromptReader, TextReader
from server.runtime.setting_values import short_name
from server.runtime.settings import Settings
from server.weights.progress import Progress
from server.weights.pull import pull

if TYPE_CHECKING:
    from engine.embedded.images.load import ImageOptions, LoadedImageModel

CHANNELS = (1, 3)  # of pictures that can be written as files: shades of grey, or red, green and blue


def open_image_model(settings: Settings, source: str, progress: Progress) -> ImageModel:
    """`source`: what `pull` knows it as. Raises PullError, ValueError."""
    from engine.embedded.images.engine import EmbeddedImageEngine
    from engine.embedded.images.load import load_image_model

    directory, name = pull(source, takes="pipelines", progress=progress), short_name(source)
    loaded = load_image_model(directory, _options(settings))
    if loaded.info.channels not in CHANNELS:
        raise ValueError(f"{directory}: its pictures have {loaded.info.channels} channels; those of 1 or 3 can be sent")
    return ImageModel(
        name=name,
        prompts=_prompts(loaded, directory),
        decoder=ImageDecoder(bands="RGBA"),
        defaults=read_defaults(directory, loaded.info.steps),
        engine=EmbeddedImageEngine(loaded),
    )


def _options(settings: Settings) -> "ImageOptions":
    from engine.embedded.images.load import ImageLimits, ImageOptions

    return ImageOptions(
        device=settings.device,
        dtype="float32" if settings.device == "cpu" else "bfloat16",
        threads=settings.threads,
        limits=ImageLimits(max_waiting=settings.max_waiting),
    )


def _prompts(loaded: "LoadedImageModel", directory: Path) -> PromptReader:
    if isinstance(loaded.info.reads, ReadsPrompts):
        tokenizer, padding = load_clip_tokenizer(directory / "tokenizer")
        return TextReader(tokenizer, loaded.info.reads.context, padding)
    return LabelReader(loaded.names)
