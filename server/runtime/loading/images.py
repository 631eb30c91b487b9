"""Opens the model of pictures: beside the chat models, on an embedded engine of its own."""

from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from engine.api import ReadsLabels
from retrieval.images.decoder import ImageDecoder
from server.images.clip_tokenizer import in_one_file, load_clip_tokenizer, with_padding
from server.images.model import ImageModel, read_defaults
from server.images.prompts import LabelReader, PromptReader, TextReader, TextTokens
from server.runtime.setting_values import short_name
from server.runtime.settings import Settings
from server.weights.progress import Progress
from server.weights.pull import pull
from server.weights.sentencepiece.tokenizer import t5_tokenizer

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
        defaults=read_defaults(directory, loaded.info),
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
    reads = loaded.info.reads
    if isinstance(reads, ReadsLabels):
        return LabelReader(loaded.names)
    texts: list[TextTokens] = []
    for found, text in zip(loaded.tokenizers, reads.texts, strict=True):
        load = load_clip_tokenizer if found.kind == "clip" else _load_t5_tokenizer
        tokenizer, padding = load(directory / found.name)
        texts.append(TextTokens(tokenizer, text, padding, found.lower))
    return TextReader(texts, reads.nothing)


def _load_t5_tokenizer(folder: Path) -> tuple[Tokenizer, int]:
    """Of tokenizer.json, or of the spiece.model that T5 was published with."""
    if (tokenizer := in_one_file(folder) or t5_tokenizer(folder)) is None:
        raise ValueError(f"{folder.name} has neither tokenizer.json nor spiece.model")
    return with_padding(folder, tokenizer, "<pad>")
