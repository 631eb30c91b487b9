"""config.json of a model, without its weights where it is a folder or a file."""

import json
from pathlib import Path
from typing import Any, cast

from server.weights.progress import Progress
from server.weights.pull import pull


def model_config(model: str, progress: Progress) -> dict[str, Any]:
    """`model`: as for `pull`. Raises PullError, and ValueError for a file that holds something else."""
    path = Path(model)
    if (path / "model.bin").exists() and not (path / "source.json").exists():  # of CTranslate2, not prepared
        from models.ctranslate2.folder import config_of  # brings torch along

        return config_of(path)
    file = path / "config.json" if path.is_dir() else path
    if file.suffix != ".json" or not file.is_file():
        file = pull(model, progress=progress) / "config.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds no JSON object")
    return cast(dict[str, Any], found)
