"""Every vision-language model gives the logits that transformers gives, for the same random checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.mllama.processing_mllama import convert_sparse_cross_attention_mask_to_dense, get_cross_attention_token_mask

from models.describe import describe, parameters
from models.families import arch_of
from models.families.multimodal import VISION_LANGUAGE, vision_language_family
from models.hf import ConfigError
from models.images import Picture
from models.spec.check import check
from models.spec.json_form import from_json, to_json
from tests.models.vision_language_world import logits_of, make, tiles
from tests.models.world import ours

MARKER = 250


def close(ours: Tensor, theirs: Tensor, error: float = 1e-4) -> None:
    torch.testing.assert_close(ours, theirs, rtol=error, atol=error)


def tiny(name: str, **changes: Any) -> dict[str, Any]:
    return dict(vision_language_family(name).TINY) | changes


@dataclass(frozen=True)
class Case:
    """Images as we take them, how many rows each has, and what transformers' model is given for them."""

    images: Sequence[Tensor]
    rows: Sequence[int]
    given: Callable[[Tensor], dict[str, Any]]  # from tokens [1, T]
    pictures: Sequence[Picture] = ()


TWO = [tiles(1, 24, 24, seed) for seed in (1, 2)]
STACKED = torch.cat(TWO)


def by_patches(image: Tensor, size: int = 4, merge: int = 2) -> Tensor:
    """[patches, channels * 2 * size * size], as Qwen's processors have them: those that become one row behind one another."""
    image = image[0].unflatten(1, (-1, merge, size)).unflatten(4, (-1, merge, size))  # C, h, m, p, w, m, p
    rows = image.permute(1, 4, 2, 5, 0, 3, 6).flatten(0, 3)  # N, C, p, p
    return rows[:, :, None].expand(-1, -1, 2, -1, -1).flatten(1)


def qwen(sides: Sequence[tuple[int, int]]) -> Case:
    images = [tiles(1, height, width, seed) for seed, (height, width) in enumerate(sides)]
    grids = torch.tensor([[1, height // 4, width // 4] for height, width in sides])
    given = {"pixel_values": torch.cat([by_patches(image) for image in images]), "image_grid_thw": grids}
    rows = [height // 8 * (width // 8) for height, width in sides]
    return Case(images, rows, lambda tokens: given | {"mm_token_type_ids": (tokens == MARKER).int()})


def next_case() -> Case:
    """One picture wider than its grid of tiles, and one that is higher."""
    images, sizes = [tiles(3, 24, 24, 1), tiles(5, 24, 24, 2)], [(10, 31), (90, 70)]
    padded = torch.stack([torch.cat([image, torch.zeros(5 - len(image), 3, 24, 24)]) for image in images])
    given = {"pixel_values": padded, "image_sizes": torch.tensor(sizes)}
    pictures = [((1, 2), sizes[0]), ((2, 2), sizes[1])]
    return Case(images, (36 + 4 * 13, 36 + 12 * 11), lambda _: given, pictures)


def mllama_case() -> Case:
    """Three images, two of which follow one another, in one to four tiles."""
    images, grids = [tiles(2, 12, 12, 1), tiles(1, 12, 12, 2), tiles(3, 12, 12, 3)], [(1, 2), (1, 1), (3, 1)]
    known = [(a, b) for a in range(1, 5) for b in range(1, 5) if a * b <= 4]
    padded = torch.stack([torch.cat([image, torch.zeros(4 - len(image), 3, 12, 12)]) for image in images])
    given = {
        "pixel_values": padded[None],
        "aspect_ratio_ids": torch.tensor([[1 + known.index(grid) for grid in grids]]),
        "aspect_ratio_mask": torch.tensor([[[int(i < len(image)) for i in range(4)] for image in images]]),
    }

    def seen(tokens: Tensor) -> dict[str, Any]:
        spans = get_cross_attention_token_mask(tokens[0].tolist(), 256)
        counts = [len(image) for image in images]
        mask = convert_sparse_cross_attention_mask_to_dense([spans], [counts], max_num_tiles=4, length=tokens.shape[1])
        return given | {"cross_attention_mask": torch.from_numpy(mask)}

    return Case(images, (1, 1, 1), seen, [(grid, (0, 0)) for grid in grids])


CASES = {
    "Gemma3ForConditionalGeneration": Case(
        TWO, (9, 9), lambda tokens: {"pixel_values": STACKED, "token_type_ids": (tokens == MARKER).long()}
    ),
    "Idefics3ForConditionalGeneration": Case(TWO, (9, 9), lambda _: {"pixel_values": STACKED[None]}),
    "InternVLForConditionalGeneration": Case(
        [tiles(3, 24, 24, 1), TWO[1]], (27, 9), lambda _: {"pixel_values": torch.cat([tiles(3, 24, 24, 1), TWO[1]])}
    ),
    "LlavaForConditionalGeneration": Case(TWO, (36, 36), lambda _: {"pixel_values": STACKED}),
    "LlavaNextForConditionalGeneration": next_case(),
    "MllamaForConditionalGeneration": mllama_case(),
    "PaliGemmaForConditionalGeneration": Case(
        TWO, (36, 36), lambda tokens: {"pixel_values": STACKED, "token_type_ids": torch.zeros_like(tokens)}
    ),
    "Qwen2VLForConditionalGeneration": qwen([(16, 24), (32, 8)]),
    "Qwen2_5_VLForConditionalGeneration": qwen([(40, 24), (32, 56)]),
    "Qwen3VLForConditionalGeneration": qwen([(16, 24), (32, 8)]),
    "SmolVLMForConditionalGeneration": Case(TWO, (9, 9), lambda _: {"pixel_values": STACKED[None]}),
}


def prompt(case: Case, marker: int) -> list[int]:
    first, *others = case.rows
    return [5, 6, *[marker] * first, 7, 8, 9, *[marker] * sum(others), 11, 12]


def test_every_family_is_here() -> None:
    assert CASES.keys() == VISION_LANGUAGE.keys()


@pytest.mark.parametrize("name", CASES)
def test_same_logits(name: str, tmp_path: Path) -> None:
    """Of tokens among two images; and of text alone."""
    case, theirs = CASES[name], make(tiny(name))
    theirs.save_pretrained(tmp_path)
    model = ours(tmp_path, context=512)
    tokens = prompt(case, model.arch.vision.marker if model.arch.vision else MARKER)
    with torch.no_grad():
        want = theirs(input_ids=torch.tensor([tokens]), **case.given(torch.tensor([tokens]))).logits[0]
        # without images all that may see what comes behind it are those of a prompt of PaliGemma, whose texts are none without
        text = theirs(input_ids=torch.tensor([[5, 6, 7, 8]])).logits[0]
    close(logits_of(model, tokens, case.images, case.pictures), want)
    close(logits_of(model, [5, 6, 7, 8], []), text)
    assert parameters(model.arch) == sum(numbers.numel() for numbers in model.state_dict().values() if numbers.is_floating_point())


@pytest.mark.parametrize("name", CASES)
def test_what_it_says_of_itself(name: str) -> None:
    arch = arch_of(tiny(name))
    check(arch)
    assert from_json(to_json(arch)) == arch
    assert describe(arch).parameters == parameters(arch)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("LlavaForConditionalGeneration", {"vision_feature_layer": [-2, -3]}, "vision_feature_layer"),
        ("LlavaForConditionalGeneration", {"vision_feature_select_strategy": "full"}, "vision_feature_select_strategy"),
        ("LlavaForConditionalGeneration", {"text_config": {"model_type": "bloom"}}, "model_type = 'bloom' is not supported beside images"),
        ("Gemma3ForConditionalGeneration", {"mm_tokens_per_image": 8}, "must be the square of a number"),
        ("InternVLForConditionalGeneration", {"vision_feature_layer": -2}, "vision_feature_layer"),
        ("MllamaForConditionalGeneration", {"text_config": {"cross_attention_layers": [40]}}, "cross_attention_layers has 40"),
        ("MllamaForConditionalGeneration", {"vision_config": {"image_size": [14, 98]}}, "make 8 rows"),
        ("MllamaForConditionalGeneration", {"vision_config": {"supported_aspect_ratios": [[1, 1]]}}, "supported_aspect_ratios"),
        ("Qwen2VLForConditionalGeneration", {"audio_config": {}}, "nobody read audio_config"),
    ],
)
def test_what_is_not_known_is_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        arch_of(tiny(name, **changes))
