"""From checkpoint to module: every tensor of a model is made by its recipe (models/recipes.py) from the checkpoint's."""

import re
from collections.abc import Callable, Iterator
from typing import cast

from torch import nn

from models.batch import Leaf
from models.prefixes import canonical
from models.quant import Weight, WeightsError, dense
from models.recipes import Recipe, Recipes
from models.spec import Arch
from models.weights.leftovers import refuse_leftovers
from models.weights.resolve import resolve
from models.weights.source import Checkpoint, Source

__all__ = ["Target", "WeightsError", "load", "recipe_of", "refuse_leftovers", "resolve", "targets"]


def load(model: nn.Module, arch: Arch | None, recipes: Recipes, checkpoint: Checkpoint) -> None:
    """Fill every tensor of `model`, one at a time. Raises WeightsError when one is missing or has the wrong shape,
    and when the checkpoint holds a tensor that no module asked for. `arch`: None for what has none (models/spec/diffusion); then no recipe
    may ask what a layer is like."""
    checkpoint = canonical(recipes, checkpoint)
    names, used = set(checkpoint), set[str]()  # a Mapping's own `in` would read the tensor
    for target, shape, assign in targets(model):
        recipe, layer = recipe_of(recipes, target)
        value = resolve(recipe, Source(checkpoint, names, used, layer, arch, target))
        if tuple(value.shape) != shape:
            raise WeightsError(f"{target} must have shape {list(shape)}, but the checkpoint's has {list(value.shape)}")
        assign(value)
    refuse_leftovers(arch, recipes, checkpoint, names - used)


Target = tuple[str, tuple[int, ...], Callable[[Weight], None]]


def targets(model: nn.Module) -> Iterator[Target]:
    """Name, shape and setter of every tensor that must be filled, in the order of the modules. One that several have in
    common is the first one's. What a leaf is made of is its own."""
    seen, leaf = set[nn.Parameter](), "(none)"
    for name, module in model.named_modules():
        if hasattr(module, "assign"):
            leaf = f"{name}."
            yield from _leaf_targets(name, cast(Leaf, module))
        elif not name.startswith(leaf):
            for field, parameter in module.named_parameters(recurse=False):
                if parameter not in seen:
                    yield f"{name}.{field}", tuple(parameter.shape), _copier(parameter)
                seen.add(parameter)


def _leaf_targets(name: str, leaf: Leaf) -> Iterator[Target]:
    for field, shape in leaf.fields.items():
        yield f"{name}.{field}", shape, lambda value, field=field: leaf.assign(field, value)


def _copier(parameter: nn.Parameter) -> Callable[[Weight], None]:
    def assign(value: Weight) -> None:
        parameter.data.copy_(dense(value))

    return assign


def recipe_of(recipes: Recipes, target: str) -> tuple[Recipe, int | None]:
    """The recipe for one of our tensors, and the number of its layer. A layer may have one that is not the others'."""
    match = re.match(r"(encoder\.|vision\.tower\.(?:last_)?|before\.\d+\.)?layers\.(\d+)\.", target)
    template = target if match is None or target in recipes else f"{match[1] or ''}layers.{{i}}." + target[match.end() :]
    if template not in recipes:
        raise WeightsError(f"the family has no recipe for {template}")
    return recipes[template], None if match is None else int(match[2])
