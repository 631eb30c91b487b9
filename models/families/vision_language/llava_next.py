"""LLaVA-NeXT (1.6): LLaVA, whose images are cut into tiles, each line of whose rows ends with one of its own."""

from dataclasses import replace
from typing import Any

from models.families.vision_language import llava
from models.families.vision_language.common import text as text_of
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import Arch, Vision


def text(config: Config) -> tuple[str, Config]:
    return text_of("LlavaNextForConditionalGeneration", config)


def vision(config: Config, text: Arch) -> Vision:
    config.ignore("image_grid_pinpoints", "use_image_newline_parameter")  # into which tiles an image is cut: read where that is done
    return replace(llava.vision(config, text), newline=True)


VISION: Recipes = {**llava.VISION, "vision.newline": Copy("newline")}

TINY: dict[str, Any] = llava.TINY | {
    "architectures": ["LlavaNextForConditionalGeneration"],
    "model_type": "llava_next",
    "image_grid_pinpoints": [[24, 48], [48, 24], [48, 48]],
}
