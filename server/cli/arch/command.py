"""`stoa arch`: describes architectures: layers, parameters, FLOPs, cache sizes. `stoa new-arch`: writes one out to start from."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from models.describe import Description, describe
from models.families import ENCODER_DECODERS, ENCODERS, FAMILIES, IMAGE_ENCODERS, arch_of, encoder_family_of, family_of
from models.families.stoa import config_of
from server.cli.arch.chart import chart
from server.cli.arch.text import compared, lines
from server.weights.config import model_config
from server.weights.progress import progress_bar


def describe_models(models: Sequence[str]) -> str:
    """One model, or a table with a column for each. Raises PullError and models.hf.ConfigError (a ValueError)."""
    described = {model: _read(model) for model in models}
    bars = chart({model: description for model, (_, description) in described.items()})
    if len(described) > 1:
        return "\n".join([*compared(described), *bars])
    return "\n".join([*(line for model, (name, d) in described.items() for line in (f"{model}: {name}", *lines(d))), *bars])


def as_json(models: Sequence[str]) -> str:
    """A list of objects: what `Description` says, with the model's name and its architecture's."""
    found = [{"model": model, "architecture": name} | asdict(description) for model, (name, description) in ((m, _read(m)) for m in models)]
    return json.dumps(found, indent=2)


def new_arch(name: str) -> str:
    """config.json that writes out a family's tiny architecture, or that of a model or folder."""
    return json.dumps(config_of(arch_of(_family(name) or _config(name))), indent=2)


def _family(name: str) -> dict[str, Any] | None:
    """The tiny configuration of a family, by the name of its data sheet."""
    encoders = ENCODERS | IMAGE_ENCODERS
    found = {module.rpartition(".")[2]: architecture for architecture, module in (FAMILIES | encoders | ENCODER_DECODERS).items()}
    if name not in found:
        return None
    config = {"architectures": [found[name]]}
    return dict((encoder_family_of(config) if found[name] in encoders else family_of(config)).TINY)


def _read(model: str) -> tuple[str, Description]:
    config = _config(model)
    return config["architectures"][0], describe(arch_of(config))


def _config(model: str) -> dict[str, Any]:
    with progress_bar() as progress:
        return model_config(model, progress)
