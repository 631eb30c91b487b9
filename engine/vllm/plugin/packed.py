"""Matrices that vLLM keeps as a quantised checkpoint packs them: by the names in our recipes, with the endings of vLLM's parameters."""

from collections.abc import Callable, Mapping

from torch import nn
from vllm.model_executor.layers.linear import MergedColumnParallelLinear, QKVParallelLinear

from engine.vllm.plugin.linear import is_packed
from models.prefixes import sources
from models.quant import Weight, WeightsError, dense
from models.recipes import Cat, Copy, Recipe, Recipes
from models.weights import recipe_of


def stored_names(recipes: Recipes) -> Callable[[str], str]:
    """What a checkpoint calls the modules of which one of our leaves is made: one by its name, several as their names joined."""

    def stored(leaf: str) -> str:
        target = next((f"{leaf}.{field}" for field in ("weight", "up") if _known(recipes, f"{leaf}.{field}")), None)
        if target is None:
            return leaf
        recipe, layer = recipe_of(recipes, target)
        modules = [source.format(i=layer, e="{e}").rpartition(".")[0] for source in sources(recipe)]
        folder = modules[0].rpartition(".")[0]
        return modules[0] if len(modules) == 1 else f"{folder}.{_joined(modules)}"

    return stored


def packed_modules(recipes: Recipes) -> dict[str, list[str]]:
    """The names that `stored_names` joins, as vLLM wants to be told."""
    several = [[source.rpartition(".")[0] for source in sources(recipe)] for recipe in recipes.values() if isinstance(recipe, Cat)]
    return {_joined(modules): [module.rpartition(".")[2] for module in modules] for modules in several}


def _joined(modules: list[str]) -> str:
    return "_".join(module.rpartition(".")[2] for module in modules)


def _known(recipes: Recipes, target: str) -> bool:
    try:
        recipe_of(recipes, target)
    except WeightsError:
        return False
    return True


def load_packed(model: nn.Module, recipes: Recipes, checkpoint: Mapping[str, Weight], used: set[str]) -> None:
    """Fill the quantised layers. Raises WeightsError for one that is not in the checkpoint, or whose rows come in another order."""
    for name, layer in model.named_modules():
        if is_packed(layer) and hasattr(layer, "assign"):
            recipe, number = recipe_of(recipes, f"{name}.weight")
            modules = _modules(name, recipe, number)
            for module, shard in zip(modules, _shards(layer, len(modules)), strict=True):
                _load(name, layer, module, shard, checkpoint, used)


def plain_sources(recipe: Recipe) -> list[str]:
    """The checkpoint's matrices that are ours as they are, one behind the other. None, where something is done to them."""
    match recipe:
        case Copy(source):
            return [source]
        case Cat(parts) if all(isinstance(part, Copy) for part in parts):
            return [source for part in parts for source in plain_sources(part)]
        case _:
            return []


def _modules(name: str, recipe: Recipe, number: int | None) -> list[str]:
    if not (found := plain_sources(recipe)):
        raise WeightsError(f"{name}: a quantised matrix cannot be loaded into vLLM where its rows change ({type(recipe).__name__})")
    return [source.format(i=number).rpartition(".")[0] for source in found]


def _shards(layer: nn.Module, count: int) -> list[tuple[str | int, ...]]:
    """How vLLM's layer calls each part that comes from the checkpoint; one alone needs no name."""
    if count == 1:
        return [()]
    if isinstance(layer, QKVParallelLinear):
        return [("q",), ("k",), ("v",)]
    assert isinstance(layer, MergedColumnParallelLinear)
    return [(i,) for i in range(count)]


def _load(name: str, layer: nn.Module, module: str, shard: tuple[str | int, ...], checkpoint: Mapping[str, Weight], used: set[str]) -> None:
    found = {field: f"{module}.{field}" for field, _ in layer.named_parameters(recurse=False) if field != "bias"}
    found = {field: stored for field, stored in found.items() if stored in checkpoint}
    if not found:
        raise WeightsError(f"the checkpoint has no quantised {module}, which {name} is made from")
    for field, stored in found.items():
        parameter = layer.get_parameter(field)
        parameter.weight_loader(parameter, dense(checkpoint[stored]), *shard)  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
    used.update(other for other in checkpoint if other.startswith(f"{module}."))  # vLLM needs no index of groups that lie in order
