"""A prepared GGUF directory once more, as Hugging Face's: for an engine that reads no GGUF."""

import hashlib
import json
import shutil
from pathlib import Path

from server.weights.cache import PullError, build_directory
from server.weights.integrity import DIGESTS, record_digests
from server.weights.paths import default_home
from server.weights.progress import Progress

LAYOUT_VERSION = 1  # increase it when the files written here change
_COPIED = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


def as_safetensors(directory: Path, progress: Progress, cache: Path | None = None) -> Path:
    """`directory` itself where its weights are safetensors; else a copy in the cache that is made once, in bfloat16, for each state of
    the prepared directory. Raises PullError for weights of which none can be made."""
    if any(directory.glob("*.safetensors")):
        return directory
    if not (directory / "tensors.json").exists():
        raise PullError(f"{directory.name} is neither a Hugging Face folder nor a GGUF file, and the engine 'vllm' reads no others")
    digest = hashlib.sha256((directory / DIGESTS).read_bytes()).hexdigest()  # of the digests of its weights
    target = (cache or default_home()) / "models" / f"{directory.resolve().name}-{digest[:16]}-safetensors-v{LAYOUT_VERSION}"
    return build_directory(target, lambda staging: _write(directory, staging, progress), progress)


def _write(source: Path, staging: Path, progress: Progress) -> None:
    from models.gguf.export import export_weights  # takes seconds, and is needed once

    size = sum(path.stat().st_size for path in source.glob("*.gguf"))
    progress("convert", 0, size)
    try:
        config = export_weights(source, staging)
    except ValueError as error:
        raise PullError(f"{source.name}: no safetensors can be made of this GGUF file ({error}); use the model's folder") from error
    (staging / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in _COPIED:
        if (source / name).exists():
            shutil.copyfile(source / name, staging / name)
    record_digests(staging, progress)
    progress("convert", size, size)
