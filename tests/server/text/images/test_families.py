"""How images are prepared, against the processors of transformers behind the same Pillow: what they see, on sizes of all kinds."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import (
    CLIPImageProcessorPil,
    Gemma3ImageProcessorPil,
    GotOcr2ImageProcessorPil,
    Idefics3ImageProcessorPil,
    LlavaImageProcessorPil,
    LlavaNextImageProcessorPil,
    MllamaImageProcessorPil,
    Qwen2VLImageProcessorPil,
    SiglipImageProcessorPil,
    SmolVLMImageProcessorPil,
)
from transformers.models.mllama.image_processing_pil_mllama import get_all_supported_aspect_ratios

from engine.api import ImageTiles
from models.families.multimodal import VISION_LANGUAGE, vision_language_family
from retrieval.images.limits import ImageError
from retrieval.images.settings import PreprocessingError
from server.text.images.families import FAMILIES
from server.text.images.processor import Part
from tests.server.text.images.world import noise

RANDOM = random.Random(0)
SIZES = [(1, 1), (37, 501), (4000, 21), (51, 51), (205, 103), *((RANDOM.randint(1, 400), RANDOM.randint(1, 400)) for _ in range(7))]
MANY = [(int(2 ** RANDOM.uniform(1.6, 9)), int(2 ** RANDOM.uniform(1.6, 9))) for _ in range(50)]
SQUARE = {"height": 28, "width": 28}
GRIDS = {"image_grid_pinpoints": [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]}


@dataclass(frozen=True)
class Case:
    family: str
    oracle: Callable[..., Any]
    said: Mapping[str, Any]

    def ours(self, seed: int, size: tuple[int, int], *, low: bool = False) -> tuple[Part, ...]:
        said = {"image_processor_type": self.oracle.__name__, **self.said}
        return FAMILIES[self.family](said, "here")(np.asarray(noise(seed, *size)), low=low)

    def theirs(self, seed: int, size: tuple[int, int], **more: Any) -> Any:
        return self.oracle(**self.said)([noise(seed, *size)], return_tensors="np", **more)


CASES = {
    "llava": Case("llava", CLIPImageProcessorPil, {"size": {"shortest_edge": 28}, "crop_size": SQUARE}),
    "llava, filled up": Case("llava", LlavaImageProcessorPil, {"size": {"shortest_edge": 28}, "crop_size": SQUARE, "do_pad": True}),
    "llava_next": Case("llava_next", LlavaNextImageProcessorPil, {"size": {"shortest_edge": 28}, "crop_size": SQUARE, **GRIDS}),
    "qwen2_vl": Case("qwen2_vl", Qwen2VLImageProcessorPil, {"min_pixels": 56 * 56, "max_pixels": 20_000}),
    "qwen3_vl": Case("qwen3_vl", Qwen2VLImageProcessorPil, {"patch_size": 16, "size": {"shortest_edge": 4096, "longest_edge": 30_000}}),
    "idefics3": Case("idefics3", Idefics3ImageProcessorPil, {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 28}}),
    "smolvlm": Case("smolvlm", SmolVLMImageProcessorPil, {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}),
    "paligemma": Case("paligemma", SiglipImageProcessorPil, {"size": SQUARE}),
    "gemma3": Case("gemma3", Gemma3ImageProcessorPil, {"size": SQUARE}),
    "mllama": Case("mllama", MllamaImageProcessorPil, {"size": SQUARE}),
    "internvl": Case("internvl", GotOcr2ImageProcessorPil, {"size": SQUARE, "max_patches": 6}),
}


def tiles(parts: tuple[Part, ...]) -> list[ImageTiles]:
    return [part for part in parts if isinstance(part, ImageTiles)]


def pixels(name: str, parts: tuple[Part, ...]) -> NDArray[np.float32]:
    """As the oracle has them: Qwen's in rows of patches, in the order in which they are merged."""
    found = np.concatenate([part.values for part in tiles(parts)])
    if not name.startswith("qwen"):
        return found
    patch, (_, _, height, width) = CASES[name].said.get("patch_size", 14), found.shape
    cut = found[0].reshape(3, height // patch // 2, 2, patch, width // patch // 2, 2, patch).transpose(1, 4, 2, 5, 0, 3, 6)
    return np.repeat(cut[:, :, :, :, :, None], 2, 5).reshape(-1, 3 * 2 * patch * patch)


@pytest.mark.parametrize("name", CASES)
def test_pixels(name: str) -> None:
    case, more = CASES[name], {"crop_to_patches": True} if name == "internvl" else {}
    for seed, size in enumerate(SIZES):
        if name.startswith("qwen") and max(size) > 200 * min(size):
            continue
        oracle = np.asarray(case.theirs(seed, size, **more)["pixel_values"])
        ours = pixels(name, case.ours(seed, size))
        if name == "mllama":  # whose oracle adds the black tiles
            assert not oracle[0, 0, len(ours) :].any()
            oracle = oracle[0, 0, : len(ours)]
        np.testing.assert_allclose(ours, oracle.reshape(ours.shape), atol=1e-6, err_msg=f"{name} {size}")


@pytest.mark.parametrize("name", ["llava_next", "qwen2_vl", "qwen3_vl", "idefics3", "smolvlm", "internvl", "mllama"])
def test_how_many_tiles_and_patches(name: str) -> None:
    case = CASES[name]
    for size in MANY:
        parts = case.ours(0, size)
        found = tiles(parts)
        match name:
            case "llava_next":
                grid, expected = found[0].grid, case.theirs(0, size)["pixel_values"].shape[1]
                assert found[0].size == (size[1], size[0]) and grid[0] * grid[1] + 1 == len(found[0].values) == expected
            case "qwen2_vl" | "qwen3_vl":
                patch = case.said.get("patch_size", 14)
                height, width = found[0].values.shape[2:]
                assert height * width // patch**2 == case.oracle(**case.said).get_number_of_image_patches(size[1], size[0])
            case "mllama":
                seen, known = case.theirs(0, size), get_all_supported_aspect_ratios(4)
                assert seen["num_tiles"] == [[len(found[0].values)]] and known[seen["aspect_ratio_ids"][0, 0] - 1] == found[0].grid
            case "internvl":
                expected = case.oracle(**case.said).get_number_of_image_patches(size[1], size[0], {"crop_to_patches": True})
                assert len(found[0].values) == expected
            case _:
                seen = case.theirs(0, size, return_row_col_info=True)
                rows, columns = seen["rows"][0][0], seen["cols"][0][0]
                marks = [f"<row_{row + 1}_col_{column + 1}>" for row in range(rows) for column in range(columns)]
                said = "".join(part for part in parts if isinstance(part, str))
                assert len(found) == max(1, len(marks) + 1) and said.count("<row_") == len(marks) and all(mark in said for mark in marks)


@pytest.mark.parametrize("name", CASES)
def test_low_detail_is_one_small_tile(name: str) -> None:
    low, high = CASES[name].ours(0, (400, 300), low=True), CASES[name].ours(0, (400, 300))
    assert len(tiles(low)) == 1 and tiles(low)[0].values.shape[0] == 1
    assert tiles(low)[0].values.size <= sum(part.values.size for part in tiles(high))


@pytest.mark.parametrize("name", CASES)
def test_what_nobody_reads_is_an_error(name: str) -> None:
    case = CASES[name]
    said = {"image_processor_type": case.oracle.__name__, **case.said}
    for wrong in ({"sharpen": True}, {"image_processor_type": "FuyuImageProcessor"}):
        with pytest.raises(PreprocessingError, match="here: "):
            FAMILIES[case.family]({**said, **wrong}, "here")


def test_each_family_that_sees_has_its_images_prepared() -> None:
    kinds = {cast(str, vision_language_family(architecture).TINY["model_type"]) for architecture in VISION_LANGUAGE}
    assert kinds and kinds <= FAMILIES.keys()


def test_pan_and_scan_is_refused() -> None:
    with pytest.raises(PreprocessingError, match="do_pan_and_scan"):
        FAMILIES["gemma3"]({"image_processor_type": "Gemma3ImageProcessor", "do_pan_and_scan": True}, "here")


def test_too_long_and_narrow() -> None:
    with pytest.raises(ImageError, match="300 times as long"):
        CASES["qwen2_vl"].ours(0, (3, 900))
