"""Classifiers of real folders against transformers: texts, images, several classes at once, and what is none."""

import asyncio
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor

from engine.api import Judge
from retrieval.api import Judged, Seen
from retrieval.embedding.classifiers import open_classifier
from retrieval.embedding.embed import EmbedOptions, open_embedder
from retrieval.embedding.pictures import PairPictures
from tests.models.encoder_world import make, tokenizer
from tests.models.test_encoders import tiny
from tests.models.test_sight import TOWERS

EXACT = EmbedOptions(dtype="float32", threads=1)
TEXTS = ["what is it", "a lamp", "the sea is deep and blue"]
NAMES = {0: "bad", 1: "middling", 2: "good"}


def judged(directory: Path, items: Sequence[str | bytes]) -> tuple[tuple[str, ...], Judged]:
    async def run() -> tuple[tuple[str, ...], Judged]:
        classifier = open_classifier(directory, EXACT)
        try:
            return classifier.labels, await classifier.classify(items)
        finally:
            await classifier.close()

    return asyncio.run(run())


@pytest.mark.parametrize("problem", [None, "multi_label_classification"])
def test_texts(problem: str | None, tmp_path: Path) -> None:
    more: dict[str, Any] = {} if problem is None else {"problem_type": problem}
    theirs = make(tiny("bert", architectures=["BertForSequenceClassification"], num_labels=3, **more))
    theirs.config.id2label = NAMES
    theirs.save_pretrained(tmp_path)
    words = tokenizer()
    words.save_pretrained(tmp_path)
    labels, found = judged(tmp_path, TEXTS)
    with torch.no_grad():
        logits = torch.cat([theirs(**words(text, return_tensors="pt")).logits for text in TEXTS])
    want = logits.softmax(1) if problem is None else logits.sigmoid()
    assert labels == ("bad", "middling", "good") and found.rows > len(TEXTS)
    np.testing.assert_allclose(found.probabilities, want.numpy(), atol=1e-5)


def picture(seed: int, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("name", "kind"), [("vit-classifier", "ViT"), ("dinov2-classifier", "Bit"), ("swin-classifier", "ViT")])
def test_images(name: str, kind: str, tmp_path: Path) -> None:
    theirs = make(TOWERS[name])
    theirs.save_pretrained(tmp_path)
    side, rows = (48, 24**2) if name.startswith("swin") else (24, 6**2 + 1)
    square = {"height": side, "width": side}
    size = square if kind == "ViT" else {"shortest_edge": 28}
    said = {"image_processor_type": f"{kind}ImageProcessor", "size": size, "crop_size": square}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said if kind == "Bit" else {**said, "crop_size": None}))
    files = [picture(1, (24, 24)), picture(2, (40, 31)), picture(3, (25, 90))]
    labels, found = judged(tmp_path, files)
    processor = AutoImageProcessor.from_pretrained(tmp_path, use_fast=False)
    images = [Image.open(io.BytesIO(file)) for file in files]
    with torch.no_grad():
        want = theirs(**processor(images, return_tensors="pt")).logits.softmax(1)
    assert labels == tuple(f"LABEL_{i}" for i in range(want.shape[1])) and found.rows == 3 * rows
    np.testing.assert_allclose(found.probabilities, want.numpy(), atol=1e-4)


def test_what_is_no_classifier_and_what_is_no_encoder_of_texts(tmp_path: Path) -> None:
    make(tiny("bert")).save_pretrained(tmp_path / "bert")
    tokenizer().save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match="makes vectors"):
        open_classifier(tmp_path / "bert", EXACT)
    make(TOWERS["vit"]).save_pretrained(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "ViTImageProcessor"}))
    with pytest.raises(ValueError, match="reads images alone"):
        open_embedder(tmp_path / "vit", EXACT)


@dataclass
class Fixed:
    """Vectors that are known."""

    rows: NDArray[np.float32]

    async def embed(self, items: Sequence[Any], kind: str = "") -> Any:
        return self.rows if kind else Seen(self.rows, 3)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_images_by_labels_as_clip_and_siglip_do_it(kind: Any) -> None:
    images, texts = np.array([[1.0, 0.0], [0.6, 0.8]], np.float32), np.array([[0.0, 1.0], [0.8, 0.6], [1.0, 0.0]], np.float32)
    pair = PairPictures(cast(Any, Fixed(texts)), cast(Any, Fixed(images)), Judge(kind, 5.0, -2.0))
    logits = torch.tensor(images @ texts.T * 5 - 2)
    found = asyncio.run(pair.judged([b"", b""], ["a", "b", "c"]))
    np.testing.assert_allclose(found.probabilities, logits.softmax(1) if kind == "softmax" else logits.sigmoid(), atol=1e-6)
