"""The tokens that end text, by a checkpoint's own account."""

import json
from pathlib import Path
from typing import Any, cast


def end_tokens_of(directory: Path) -> tuple[int, ...]:
    """What config.json and generation_config.json name. Raises ValueError for a file that holds no JSON object."""
    found = set[int]()
    for path in (directory / "config.json", directory / "generation_config.json"):
        value = (read_object(path) if path.exists() else {}).get("eos_token_id") or ()
        found.update([value] if isinstance(value, int) else value)
    return tuple(sorted(found))


def read_object(file: Path) -> dict[str, Any]:
    """Raises ValueError that names the file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file} cannot be read: it holds no JSON object")
    return cast(dict[str, Any], found)
