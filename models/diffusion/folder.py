"""A folder of diffusers: model_index.json says which parts a pipeline has, and each part lies in a folder of its own. Two kinds are read:
from a label to an image (DiTPipeline), and from a text (prompted.py). Checkers of finished pictures are not."""

from dataclasses import dataclass, replace
from pathlib import Path

from models.diffusion.part import Part, read_config
from models.diffusion.prompted import KINDS, NONE, Prompted, Usual, open_prompted
from models.families.diffusion import Rule, autoencoder_of, denoiser_of
from models.families.diffusion.schedulers import sampler
from models.hf import Config, ConfigError
from models.recipes import Recipes
from models.spec.diffusion import Autoencoder, Dit, FlowMatching, Sampler, VectorAndT5

INDEX = "model_index.json"
LABELLED = "DiTPipeline"
PIPELINES = (LABELLED, *KINDS)


@dataclass(frozen=True)
class Labelled:
    """`labels`: what the denoiser can be told, by number; several names for the same are separated by commas."""

    spec: Dit
    part: Part[Recipes]
    labels: dict[int, str]

    @property
    def usual(self) -> Usual:
        return Usual(50, 7.5)


@dataclass(frozen=True)
class Pipeline:
    """`autoencoder`: None where the denoiser works on the pixels themselves."""

    denoiser: Labelled | Prompted
    autoencoder: Autoencoder | None
    autoencoder_part: Part[Rule] | None
    sampler: Sampler

    @property
    def channels(self) -> int:
        """Of what is denoised."""
        return self.denoiser.spec.channels if self.autoencoder is None else self.autoencoder.latents.channels


def is_pipeline(directory: Path) -> bool:
    return (directory / INDEX).exists()


def open_pipeline(directory: Path) -> Pipeline:
    """Raises ConfigError for what is not supported, and for what nobody read."""
    index = Config(read_config(directory / INDEX), INDEX)
    index.ignore("_class_name", "_diffusers_version", "_name_or_path", "scheduler", "vae")
    index.only("_class_name", *PIPELINES)
    autoencoder, part = _autoencoder(directory, index)
    if index.text("_class_name") == LABELLED:
        denoiser = _labelled(directory, index)
    else:
        denoiser = open_prompted(directory, index, None if autoencoder is None else autoencoder.latents.channels)
    index.finish()
    made = Pipeline(denoiser, autoencoder, part, _sampler(directory, denoiser))
    if (reads := 2 * made.channels + 1 if isinstance(denoiser, Prompted) and denoiser.fills else made.channels) != denoiser.spec.channels:
        wanted = f"{denoiser.part.folder.name}/config.json: in_channels = {denoiser.spec.channels}"
        raise ConfigError(f"vae/config.json: latent_channels = {made.channels}, of which {reads} channels are read, but {wanted}")
    return made


def _labelled(directory: Path, index: Config) -> Labelled:
    index.ignore("transformer")
    where = "transformer/config.json"
    spec, recipes = denoiser_of(read_config(directory / where), where)
    labels = index.anything("id2label") or {}
    return Labelled(spec, Part(directory / "transformer", recipes), {int(number): str(name) for number, name in labels.items()})


def _autoencoder(directory: Path, index: Config) -> tuple[Autoencoder | None, Part[Rule] | None]:
    if index.anything("vae") in NONE:
        return None, None
    where = "vae/config.json"
    autoencoder, rule = autoencoder_of(read_config(directory / where), where)
    return autoencoder, Part(directory / "vae", rule)


def _sampler(directory: Path, denoiser: Labelled | Prompted) -> Sampler:
    """Flux's pipeline says itself which sigmas are visited."""
    found = sampler(read_config(directory / "scheduler" / "scheduler_config.json"))
    if isinstance(denoiser, Prompted) and isinstance(denoiser.joined, VectorAndT5) and isinstance(found, FlowMatching):
        return replace(found, last="even")
    return found
