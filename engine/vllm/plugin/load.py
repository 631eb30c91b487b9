"""From a checkpoint's tensors, as vLLM hands them, to a model's: by our recipes, or in vLLM's packed form where it is quantised."""

from collections.abc import Mapping

from torch import Tensor, nn

from engine.vllm.plugin.backend import Place
from engine.vllm.plugin.packed import load_packed
from models.parts.attention import AttentionPart
from models.parts.latent import LatentAttentionPart
from models.prefixes import canonical
from models.quant import Weight, dense
from models.recipes import Recipes
from models.spec import Arch
from models.weights import recipe_of, refuse_leftovers, resolve, targets
from models.weights.source import Source


def load(model: nn.Module, arch: Arch, recipes: Recipes, tensors: Mapping[str, Tensor], place: Place) -> None:
    """Fill what this process has of `model`; `arch` is the whole model's. Raises WeightsError where the two do not fit, and, where the
    process has all layers, for tensors that nobody asked for."""
    checkpoint = canonical(recipes, tensors)
    names, used = set(checkpoint), set[str]()
    for target, shape, assign in targets(model):
        recipe, layer = recipe_of(recipes, target)
        assign(_of_rank(resolve(recipe, Source(checkpoint, names, used, layer, arch, target)), shape, place))
    load_packed(model, recipes, checkpoint, used)
    _hand_over(model)
    if len(place.layers) == len(arch.layers):
        refuse_leftovers(arch, recipes, checkpoint, names - used)


def _of_rank(value: Weight, shape: tuple[int, ...], place: Place) -> Weight:
    """This rank's rows of what our parts hold for each head; what vLLM's layers hold they cut themselves."""
    if tuple(value.shape) == shape:
        return value
    start = place.rank * value.shape[0] // place.ways
    return dense(value)[start : start + shape[0]]


def _hand_over(model: nn.Module) -> None:
    """What vLLM's attention layers want to have themselves."""
    for part in model.modules():
        match part:
            case AttentionPart(sinks=Tensor() as sinks_H):
                part.attend.take(sinks_H)  # pyright: ignore[reportFunctionMemberAccess]
            case LatentAttentionPart():
                part.latent.take(part.k_up, part.v_up)  # pyright: ignore[reportFunctionMemberAccess]
            case _:
                pass
