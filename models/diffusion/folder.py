"""A folder of diffusers: model_index.json says which parts a pipeline has, and each part lies in a folder of its own. Two kinds are read:
from a label to an image (DiTPipeline), and from a text (StableDiffusionPipeline). Checkers of finished pictures are not."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from models.checkpoint import Safetensors
from models.families.diffusion import Rule, autoencoder_of, denoiser_of, unet_of
from models.families.diffusion.schedulers import sampler
from models.families.diffusion.text_encoder import text_encoder_of
from models.hf import Config, ConfigError
from models.quant import WeightsError
from models.recipes import Recipes
from models.spec import Arch
from models.spec.diffusion import Autoencoder, Dit, Sampler, UNet

INDEX = "model_index.json"
LABELLED, PROMPTED = "DiTPipeline", "StableDiffusionPipeline"
PIPELINES = (LABELLED, PROMPTED)
Made = TypeVar("Made", Recipes, Rule)


@dataclass(frozen=True)
class Part(Generic[Made]):
    """Where a part's weights lie, and how they become ours."""

    folder: Path
    recipes: Made
    file: str = "diffusion_pytorch_model"

    def tensors(self) -> Safetensors:
        """Raises WeightsError where there are none."""
        index = self.folder / f"{self.file}.safetensors.index.json"
        names = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {f"{self.file}.safetensors"}
        paths = [self.folder / Path(name).name for name in sorted(names)]
        if missing := [path.name for path in paths if not path.exists()]:
            raise WeightsError(f"{self.folder} has no {', '.join(missing)}")
        return Safetensors(paths)


@dataclass(frozen=True)
class Labelled:
    """`labels`: what the denoiser can be told, by number; several names for the same are separated by commas."""

    spec: Dit
    part: Part[Recipes]
    labels: dict[int, str]


@dataclass(frozen=True)
class Prompted:
    """`encoder`: of the texts that the denoiser is told."""

    spec: UNet
    part: Part[Rule]
    encoder: Arch
    encoder_part: Part[Recipes]


@dataclass(frozen=True)
class Pipeline:
    """`autoencoder`: None where the denoiser works on the pixels themselves."""

    denoiser: Labelled | Prompted
    autoencoder: Autoencoder | None
    autoencoder_part: Part[Rule] | None
    sampler: Sampler


def is_pipeline(directory: Path) -> bool:
    return (directory / INDEX).exists()


def open_pipeline(directory: Path) -> Pipeline:
    """Raises ConfigError for what is not supported, and for what nobody read."""
    index = Config(_json(directory / INDEX), INDEX)
    index.ignore("_class_name", "_diffusers_version", "_name_or_path", "scheduler", "vae")
    index.only("_class_name", *PIPELINES)
    denoiser = _labelled(directory, index) if index.text("_class_name") == LABELLED else _prompted(directory, index)
    autoencoder, part = _autoencoder(directory, index)
    index.finish()
    if autoencoder is not None and autoencoder.latents.channels != denoiser.spec.channels:
        found = f"vae/config.json: latent_channels = {autoencoder.latents.channels}"
        raise ConfigError(f"{found}, but {denoiser.part.folder.name}/config.json: in_channels = {denoiser.spec.channels}")
    return Pipeline(denoiser, autoencoder, part, sampler(_json(directory / "scheduler" / "scheduler_config.json")))


def _labelled(directory: Path, index: Config) -> Labelled:
    index.ignore("transformer")
    where = "transformer/config.json"
    spec, recipes = denoiser_of(_json(directory / where), where)
    labels = index.anything("id2label") or {}
    return Labelled(spec, Part(directory / "transformer", recipes), {int(number): str(name) for number, name in labels.items()})


def _prompted(directory: Path, index: Config) -> Prompted:
    index.ignore("unet", "text_encoder", "tokenizer", "feature_extractor", "safety_checker", "requires_safety_checker")
    index.only("image_encoder", None, [None, None])
    where = "unet/config.json"
    spec, rule = unet_of(_json(directory / where), where)
    encoder, recipes = text_encoder_of(_json(directory / "text_encoder" / "config.json"), "text_encoder/config.json")
    if encoder.dim != spec.text:
        raise ConfigError(f"text_encoder/config.json: hidden_size = {encoder.dim}, but {where}: cross_attention_dim = {spec.text}")
    return Prompted(spec, Part(directory / "unet", rule), encoder, Part(directory / "text_encoder", recipes, "model"))


def _autoencoder(directory: Path, index: Config) -> tuple[Autoencoder | None, Part[Rule] | None]:
    if index.anything("vae") in (None, [None, None]):
        return None, None
    where = "vae/config.json"
    autoencoder, rule = autoencoder_of(_json(directory / where), where)
    return autoencoder, Part(directory / "vae", rule)


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ConfigError(f"{path.parent.name}/{path.name} is missing")
    return json.loads(path.read_text(encoding="utf-8"))
