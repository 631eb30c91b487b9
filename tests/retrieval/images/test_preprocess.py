"""Images of odd sizes are prepared as the processors of transformers prepare them, number by number."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image

from retrieval.images.limits import ImageError
from retrieval.images.preprocess import preprocess, resized
from retrieval.images.settings import Exact, Fitting, PreprocessingError, preprocessing_of, read_preprocessing

RANDOM = random.Random(0)
ODD = [(1, 1), (501, 37), (37, 501), (3, 4000), (4000, 3), (512, 512), (1025, 2049), (224, 224), (2, 3), (223, 225), (30, 29), (15, 400)]
SIZES = [*ODD, *((RANDOM.randint(1, 700), RANDOM.randint(1, 700)) for _ in range(50 - len(ODD)))]  # height, width

SETTINGS: dict[str, dict[str, Any]] = {
    "clip": {"image_processor_type": "CLIPImageProcessor"},
    "clip-odd": {
        "image_processor_type": "CLIPImageProcessorFast",
        "size": {"shortest_edge": 31},
        "crop_size": {"height": 30, "width": 45},
        "resample": 1,
    },
    "clip-unresized": {"image_processor_type": "CLIPImageProcessor", "do_resize": False, "crop_size": {"height": 64, "width": 33}},
    "clip-uncropped": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 20}, "do_center_crop": False},
    "vit": {"image_processor_type": "ViTImageProcessor"},
    "vit-unscaled": {"image_processor_type": "ViTImageProcessor", "size": {"height": 20, "width": 50}, "do_rescale": False},
    "siglip": {"image_processor_type": "SiglipImageProcessor", "size": {"height": 32, "width": 32}, "do_normalize": False},
    "siglip-nearest": {"image_processor_type": "SiglipImageProcessor", "size": {"height": 32, "width": 32}, "resample": 0},
    "dinov2": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}},
    "siglip2": {"image_processor_type": "Siglip2ImageProcessor", "max_num_patches": 64},
}


def picture(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(height * 10_007 + width).integers(0, 256, (height, width, 3), np.uint8)


def theirs(said: dict[str, Any], pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    values = {key: value for key, value in said.items() if key != "image_processor_type"}
    processor = getattr(transformers, said["image_processor_type"].removesuffix("Fast") + "Pil")(**values)
    found = processor(Image.fromarray(pixels), return_tensors="np")
    if "spatial_shapes" not in found:
        return found["pixel_values"][0]
    rows, columns = found["spatial_shapes"][0]
    patches = found["pixel_values"][0][: rows * columns].reshape(rows, columns, 16, 16, 3)
    return patches.transpose(4, 0, 2, 1, 3).reshape(3, rows * 16, columns * 16)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_numbers(name: str) -> None:
    """At the size of a long strip with a crop, theirs makes all of it and ours what is left of it."""
    settings = preprocessing_of(SETTINGS[name])
    for height, width in SIZES:
        pixels = picture(height, width)
        want = theirs(SETTINGS[name], pixels)
        np.testing.assert_allclose(preprocess(pixels, settings), want, rtol=0, atol=1e-6, err_msg=f"{height}x{width}")


def test_long_strips() -> None:
    """Resized as a whole it would have 70 million pixels; one of a thousand times as many is refused."""
    settings = preprocessing_of(SETTINGS["clip"])
    assert preprocess(np.zeros((4000, 3, 3), np.uint8), settings).shape == (3, 224, 224)
    with pytest.raises(ImageError, match="too long and narrow") as caught:
        preprocess(np.zeros((2_000_000, 1, 3), np.uint8), settings)
    assert caught.value.code == "image_too_large"


def test_patches_fit() -> None:
    for height, width in SIZES:
        rows, columns = resized(height, width, Fitting(patch=16, most=256))
        assert rows % 16 == columns % 16 == 0 and rows * columns <= 256 * 16 * 16


def test_older_files() -> None:
    """Sizes are numbers there, and processors extractors."""
    older = preprocessing_of({"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224, "resample": 3})
    assert older == preprocessing_of(SETTINGS["clip"])
    assert preprocessing_of({"feature_extractor_type": "ViTFeatureExtractor", "size": 384}).resize == Exact(384, 384)


def test_either_file_says_it(tmp_path: Path) -> None:
    with pytest.raises(PreprocessingError, match="has neither preprocessor_config"):
        read_preprocessing(tmp_path)
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": SETTINGS["siglip"]}))
    assert read_preprocessing(tmp_path) == preprocessing_of(SETTINGS["siglip"])
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(SETTINGS["clip"]))
    assert read_preprocessing(tmp_path) == preprocessing_of(SETTINGS["clip"])


@pytest.mark.parametrize("name", ["CLIPImageProcessorPil", "SiglipImageProcessorPil", "ViTImageProcessorPil", "Siglip2ImageProcessorPil"])
def test_what_transformers_saves_is_read(name: str, tmp_path: Path) -> None:
    getattr(transformers, name)().save_pretrained(tmp_path)
    assert read_preprocessing(tmp_path) == preprocessing_of({"image_processor_type": name})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_sharpen": True}, "nobody reads do_sharpen"),
        ({"do_pad": True}, "nobody reads do_pad"),
        ({"resample": 9}, "resample = 9 must be the number"),
        ({"size": {"longest_edge": 9}}, r"size = \{'longest_edge': 9\} is not supported"),
        ({"size": {"shortest_edge": -1}}, "size = -1 must be an integer from 1"),
        ({"size": {"shortest_edge": 10**6}}, "must be an integer from 1 to 4096"),
        ({"image_mean": [0.5]}, "image_mean = .* must be three numbers"),
        ({"image_processor_type": "SamImageProcessor"}, "'SamImageProcessor' is not supported, only CLIPImageProcessor"),
        ({"image_processor_type": None}, "image_processor_type = 'None' is not supported"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PreprocessingError, match=message):
        preprocessing_of(SETTINGS["clip"] | changes)
