"""From values to modules, and their weights. Nothing here knows a folder."""

from collections.abc import Mapping

from models.batch import Backend
from models.quant import Weight
from models.recipes import Copy, Recipes
from models.spec.diffusion import Autoencoder, Denoiser
from models.stacks.diffusion.dit import DitStack
from models.stacks.diffusion.tiny_autoencoder import TinyAutoencoderStack
from models.weights import load, targets


def build_denoiser(spec: Denoiser, backend: Backend) -> DitStack:
    return DitStack(spec, backend)


def build_autoencoder(spec: Autoencoder, backend: Backend) -> TinyAutoencoderStack:
    return TinyAutoencoderStack(spec, backend)


def fill_denoiser(model: DitStack, recipes: Recipes, tensors: Mapping[str, Weight]) -> None:
    """Raises WeightsError."""
    load(model, None, recipes, tensors)


def fill_autoencoder(model: TinyAutoencoderStack, recipes: Recipes, tensors: Mapping[str, Weight]) -> None:
    """What `recipes` do not say has its published name. Raises WeightsError."""
    same: Recipes = {name: Copy(name) for name, _, _ in targets(model)}
    load(model, None, {**same, **recipes}, tensors)
