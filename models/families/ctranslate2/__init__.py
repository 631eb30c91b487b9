"""Models as CTranslate2 has them, described by settings beside the tensors."""

from models.families.ctranslate2 import decoder, whisper
from models.recipes import Recipes
from models.spec import Arch


def recipes(arch: Arch) -> Recipes:
    return decoder.recipes(arch) if arch.encoder is None else whisper.RECIPES
