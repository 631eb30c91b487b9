"""What vLLM wants to know to put LoRA adapters (PEFT's names) beside our matrices: which of our modules an adapter's name means."""

import re
from collections.abc import Iterator

from vllm.model_executor.models.utils import WeightsMapper

from engine.vllm.plugin.packed import plain_sources
from models.recipes import Cat, Recipe, Recipes


def packed(recipes: Recipes) -> dict[str, list[str]]:
    """Of our matrices that are several of the checkpoint's: the names of the parts, each of which may have an adapter of its own."""
    found: dict[str, list[str]] = {}
    for leaf, recipe in _matrices(recipes):
        name = leaf.rpartition(".")[2]
        if isinstance(recipe, Cat) and (sources := plain_sources(recipe)):
            found[name] = [_last(source) for source in sources]
        elif name in ("qkv", "up"):
            found.setdefault(name, [name])
    return found


def mapper(recipes: Recipes, root: str) -> WeightsMapper:
    """From the checkpoint's modules to ours, which lie under `root`. Those whose matrices are changed when they are loaded are left out,
    and an adapter for one is refused by vLLM."""
    names: dict[re.Pattern[str], str | None] = {}
    for leaf, recipe in _matrices(recipes):
        sources = plain_sources(recipe)
        for source in sources:
            ours = leaf if len(sources) == 1 else f"{leaf.rpartition('.')[0]}.{_last(source)}"
            stem = re.escape(source.removesuffix(".weight")).replace(re.escape("{i}"), r"(\d+)")
            names[re.compile(rf"^{stem}(?=\.)")] = f"{root}.{ours}".replace("{i}", r"\1")
    return WeightsMapper(orig_to_new_regex=names)


def _matrices(recipes: Recipes) -> Iterator[tuple[str, Recipe]]:
    for target, recipe in recipes.items():
        if target.startswith("layers.{i}.") and target.endswith(".weight") and "norm" not in target:
            yield target.removesuffix(".weight"), recipe


def _last(source: str) -> str:
    return source.removesuffix(".weight").rpartition(".")[2]
