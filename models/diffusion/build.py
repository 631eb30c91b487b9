"""From values to modules, and their weights. Nothing here knows a folder."""

from collections.abc import Mapping

from models.batch import Backend
from models.families.diffusion import Rule
from models.quant import Weight
from models.recipes import Recipes
from models.spec.diffusion import Autoencoder, Denoiser, KlAutoencoder, Mmdit, PixArt, TinyAutoencoder, UNet
from models.stacks.diffusion.dit import DitStack
from models.stacks.diffusion.kl_autoencoder import KlAutoencoderStack
from models.stacks.diffusion.mmdit import MmditStack
from models.stacks.diffusion.pixart import PixArtStack
from models.stacks.diffusion.tiny_autoencoder import TinyAutoencoderStack
from models.stacks.diffusion.unet import UNetStack
from models.weights import load, targets

AutoencoderStack = TinyAutoencoderStack | KlAutoencoderStack


def build_denoiser(spec: Denoiser, backend: Backend) -> DitStack:
    return DitStack(spec, backend)


def build_unet(spec: UNet, backend: Backend) -> UNetStack:
    return UNetStack(spec, backend)


def build_text_denoiser(spec: Mmdit | PixArt, backend: Backend) -> MmditStack | PixArtStack:
    return MmditStack(spec, backend) if isinstance(spec, Mmdit) else PixArtStack(spec, backend)


def build_autoencoder(spec: Autoencoder, backend: Backend) -> AutoencoderStack:
    match spec:
        case TinyAutoencoder():
            return TinyAutoencoderStack(spec, backend)
        case KlAutoencoder():
            return KlAutoencoderStack(spec, backend)


def fill_denoiser(model: DitStack, recipes: Recipes, tensors: Mapping[str, Weight]) -> None:
    """Raises WeightsError."""
    load(model, None, recipes, tensors)


def fill_named(model: AutoencoderStack | UNetStack | MmditStack | PixArtStack, rule: Rule, tensors: Mapping[str, Weight]) -> None:
    """Raises WeightsError."""
    load(model, None, {name: rule(name) for name, _, _ in targets(model)}, tensors)
