"""Whether vLLM can be the engine, found out without starting anything."""

from importlib.util import find_spec


def is_installed() -> bool:
    return find_spec("vllm") is not None


def is_best() -> bool:
    """It is installed, and there is a CUDA device for it."""
    if not is_installed():
        return False
    import torch

    return torch.cuda.is_available()
