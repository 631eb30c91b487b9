"""One file for each family of models: how it reads images. A model's config.json says which it is (`model_type`)."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from retrieval.images.settings import PreprocessingError, said_of_images
from server.text.images.families.gemma3 import gemma3, paligemma
from server.text.images.families.idefics3 import idefics3
from server.text.images.families.internvl import internvl
from server.text.images.families.llava import llava
from server.text.images.families.llava_next import llava_next
from server.text.images.families.mllama import mllama
from server.text.images.families.qwen_vl import qwen_vl
from server.text.images.processor import Processor

FAMILIES: Mapping[str, Callable[[Mapping[str, Any], str], Processor]] = {
    "llava": llava,
    "llava_next": llava_next,
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"), qwen_vl),
    **dict.fromkeys(("idefics3", "smolvlm"), idefics3),
    "paligemma": paligemma,
    "gemma3": gemma3,
    "internvl": internvl,
    "mllama": mllama,
}


def read_processor(directory: Path) -> Processor:
    """Raises PreprocessingError, also for a family whose images nobody here prepares."""
    kind = json.loads((directory / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind not in FAMILIES:
        raise PreprocessingError(f"{directory.name}: it is not known how images are prepared for {kind}, only for {', '.join(FAMILIES)}")
    return FAMILIES[kind](*said_of_images(directory))
