"""Classifiers of texts and of images, whose classes stand in config.json."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.api import Encoder
from retrieval.api import Judged
from retrieval.embedding.embed import EmbedOptions, open_encoder, read_folder
from retrieval.embedding.encoding import TextEncoder
from retrieval.embedding.images import EncoderSight, open_sight
from retrieval.embedding.model_folder import ModelFolder
from retrieval.embedding.probabilities import Logits, Probabilities, sigmoid, softmax


@dataclass(frozen=True)
class Classes:
    """`several`: each class is there or not, whatever the others are."""

    labels: tuple[str, ...]
    several: bool

    def probabilities(self, logits: Logits) -> Probabilities:
        """[n, labels] of as many."""
        return sigmoid(logits) if self.several else softmax(logits)


class TextClassifier:
    """Implements retrieval.api.Classifier. Texts are truncated to the model's maximum length."""

    reads: Literal["text"] = "text"

    def __init__(self, encoder: Encoder, folder: ModelFolder, classes: Classes) -> None:
        self._encoder, self._classes = encoder, classes
        self._encoding = TextEncoder(folder.tokenizer(), lowercase=folder.lowercase)
        self._max_length = min(encoder.info.max_tokens, folder.max_tokens or encoder.info.max_tokens)

    @property
    def labels(self) -> tuple[str, ...]:
        return self._classes.labels

    async def classify(self, items: Sequence[str | bytes]) -> Judged:
        texts = [item for item in items if isinstance(item, str)]
        sentences = await asyncio.to_thread(self._encoding.single, texts, self._max_length)
        logits = (await self._encoder.embed(sentences)).astype(np.float64)
        return Judged(self._classes.probabilities(logits), sum(len(sentence.tokens) for sentence in sentences))

    async def close(self) -> None:
        await self._encoder.close()


class ImageClassifier:
    """Implements retrieval.api.Classifier."""

    reads: Literal["image"] = "image"

    def __init__(self, encoder: Encoder, sight: EncoderSight, classes: Classes) -> None:
        self._encoder, self._sight, self._classes = encoder, sight, classes

    @property
    def labels(self) -> tuple[str, ...]:
        return self._classes.labels

    async def classify(self, items: Sequence[str | bytes]) -> Judged:
        seen = await self._sight.embed([item for item in items if isinstance(item, bytes)])
        return Judged(self._classes.probabilities(seen.vectors.astype(np.float64)), seen.rows)

    async def close(self) -> None:
        self._sight.close()
        await self._encoder.close()


def open_classifier(directory: Path, options: EmbedOptions) -> TextClassifier | ImageClassifier:
    """Raises ValueError (also those of models.hf and models.weights) for a model that cannot be loaded, or is no classifier."""
    folder, encoder = read_folder(directory), open_encoder(directory, options)
    if encoder.info.output != "score":
        raise ValueError(f"{folder.name} makes vectors ({encoder.info.architecture}); a classifier is needed")
    classes = _classes(folder.transformer_path, encoder.info.width)
    if encoder.info.max_tokens:
        return TextClassifier(encoder, folder, classes)
    sight = open_sight(encoder, folder.transformer_path)
    assert sight is not None  # it reads images, or nothing
    return ImageClassifier(encoder, sight, classes)


def _classes(directory: Path, width: int) -> Classes:
    """As config.json names them. A single class, as cross-encoders have it, is there or not."""
    config: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    named: dict[str, str] = config.get("id2label") or {}
    labels = tuple(named.get(str(i), f"LABEL_{i}") for i in range(width))
    return Classes(labels, width == 1 or config.get("problem_type") == "multi_label_classification")
