"""Whether vLLM can be the engine, found out without starting anything."""

import json
from importlib.util import find_spec
from pathlib import Path

from models.families import ENCODER_DECODERS


def is_installed() -> bool:
    return find_spec("vllm") is not None


def is_best() -> bool:
    """It is installed, and there is a CUDA device for it."""
    if not is_installed():
        return False
    import torch

    return torch.cuda.is_available()


def unserved(directory: Path) -> str | None:
    """Which model of those that no vLLM answers for us a folder holds: one that reads an input before its prompt."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    name = next(iter(config.get("architectures") or [""]), "")
    written_out = isinstance(arch := config.get("arch"), dict) and arch.get("encoder") is not None
    return name if name in ENCODER_DECODERS or written_out else None
