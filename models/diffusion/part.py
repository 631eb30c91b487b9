"""A part of a pipeline: a folder in its folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from models.checkpoint import Safetensors
from models.families.diffusion import Rule
from models.hf import ConfigError
from models.quant import WeightsError
from models.recipes import Recipes

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


def read_config(path: Path) -> dict[str, Any]:
    """Raises ConfigError."""
    if not path.exists():
        raise ConfigError(f"{path.parent.name}/{path.name} is missing")
    return json.loads(path.read_text(encoding="utf-8"))
