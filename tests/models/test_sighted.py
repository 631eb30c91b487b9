"""Every model with eyes gives the logits that transformers gives, for the same random checkpoint."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.describe import parameters
from models.families.multimodal import sighted_family
from tests.models.sighted_world import logits_of, make, tiles
from tests.models.world import ours


def close(ours: Tensor, theirs: Tensor, error: float = 1e-4) -> None:
    torch.testing.assert_close(ours, theirs, rtol=error, atol=error)


def tiny(name: str, **changes: Any) -> dict[str, Any]:
    return dict(sighted_family(name).TINY) | changes


def test_llava(tmp_path: Path) -> None:
    values = tiny("LlavaForConditionalGeneration")
    theirs = make(values)
    theirs.save_pretrained(tmp_path)
    images = [tiles(1, 24, 24, seed) for seed in (1, 2)]
    tokens = [5, 6, *[250] * 36, 7, 8, 9, *[250] * 36, 11]
    with torch.no_grad():
        want = theirs(input_ids=torch.tensor([tokens]), pixel_values=torch.cat(images)).logits[0]
    model = ours(tmp_path)
    close(logits_of(model, tokens, images), want)
    assert parameters(model.arch) == sum(numbers.numel() for numbers in model.state_dict().values() if numbers.is_floating_point())
