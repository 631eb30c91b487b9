"""A folder of diffusers: model_index.json says which parts a pipeline has, and each part lies in a folder of its own.

pipeline = open_pipeline(directory)
model = build_denoiser(pipeline.denoiser, backend)
fill_denoiser(model, pipeline.recipes, pipeline.tensors())
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from models.checkpoint import Safetensors
from models.families.diffusion import Rule, autoencoder_of, denoiser_of
from models.families.diffusion.schedulers import sampler
from models.hf import Config, ConfigError
from models.quant import WeightsError
from models.recipes import Recipes
from models.spec.diffusion import Autoencoder, Denoiser, Sampler

INDEX, WEIGHTS = "model_index.json", "diffusion_pytorch_model"


Made = TypeVar("Made", Recipes, Rule)


@dataclass(frozen=True)
class Part(Generic[Made]):
    """Where a part's weights lie, and how they become ours."""

    folder: Path
    recipes: Made

    def tensors(self) -> Safetensors:
        """Raises WeightsError where there are none."""
        index = self.folder / f"{WEIGHTS}.safetensors.index.json"
        names = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {f"{WEIGHTS}.safetensors"}
        paths = [self.folder / Path(name).name for name in sorted(names)]
        if missing := [path.name for path in paths if not path.exists()]:
            raise WeightsError(f"{self.folder} has no {', '.join(missing)}")
        return Safetensors(paths)


@dataclass(frozen=True)
class Pipeline:
    """`autoencoder`: None where the denoiser works on the pixels themselves. `labels`: what the denoiser can be told, by number; several
    names for the same are separated by commas."""

    denoiser: Denoiser
    denoiser_part: Part[Recipes]
    autoencoder: Autoencoder | None
    autoencoder_part: Part[Rule] | None
    sampler: Sampler
    labels: dict[int, str]


def is_pipeline(directory: Path) -> bool:
    return (directory / INDEX).exists()


def open_pipeline(directory: Path) -> Pipeline:
    """Raises ConfigError for what is not supported, and for what nobody read."""
    index = Config(_json(directory / INDEX), INDEX)
    index.ignore("_class_name", "_diffusers_version", "_name_or_path", "scheduler", "transformer", "vae")
    index.only("_class_name", "DiTPipeline")
    labels = index.anything("id2label") or {}
    index.finish()
    where = "transformer/config.json"
    denoiser, recipes = denoiser_of(_json(directory / where), where)
    autoencoder, part = _autoencoder(directory, index)
    _expect_fitting(denoiser, autoencoder)
    return Pipeline(
        denoiser=denoiser,
        denoiser_part=Part(directory / "transformer", recipes),
        autoencoder=autoencoder,
        autoencoder_part=part,
        sampler=sampler(_json(directory / "scheduler" / "scheduler_config.json")),
        labels={int(number): str(name) for number, name in labels.items()},
    )


def _autoencoder(directory: Path, index: Config) -> tuple[Autoencoder | None, Part[Rule] | None]:
    if index.anything("vae") in (None, [None, None]):
        return None, None
    where = "vae/config.json"
    autoencoder, rule = autoencoder_of(_json(directory / where), where)
    return autoencoder, Part(directory / "vae", rule)


def _expect_fitting(denoiser: Denoiser, autoencoder: Autoencoder | None) -> None:
    if autoencoder is not None and autoencoder.latents.channels != denoiser.channels:
        found = f"vae/config.json: latent_channels = {autoencoder.latents.channels}"
        raise ConfigError(f"{found}, but transformer/config.json: in_channels = {denoiser.channels}")


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ConfigError(f"{path.parent.name}/{path.name} is missing")
    return json.loads(path.read_text(encoding="utf-8"))
