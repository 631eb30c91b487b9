"""Prepares a GGUF file for the engine: a directory with config.json, tokenizer.json, tokenizer_config.json, generation_config.json,
tensors.json (file and offset of each tensor) and links to the weights."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.weights.cache import PullError, build_directory
from server.weights.integrity import content_digest, write_digests
from server.weights.links import link, stamp, unchanged
from server.weights.progress import Progress

LAYOUT_VERSION = 3  # increase it when the files written here change: directories of another version are prepared again
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")


def prepare_gguf(file: Path, home: Path, progress: Progress) -> Path:
    """The prepared directory, keyed by the content of the file. `file` may be any shard (NAME-00001-of-00004.gguf) of a model."""
    shards = _shards(file)
    digests = [content_digest(shard, home, progress) for shard in shards]
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    match = SHARD.fullmatch(file.name)
    target = home / "models" / f"{match[1] if match else file.stem}-{digest[:16]}-v{LAYOUT_VERSION}"
    if target.exists() and not unchanged(target):
        shutil.rmtree(target)  # somebody wrote to the original, which is a hard link to the same data
    return build_directory(target, lambda staging: _write_directory(staging, dict(zip(shards, digests, strict=True)), progress), progress)


def _shards(file: Path) -> list[Path]:
    match = SHARD.fullmatch(file.name)
    if not match:
        return [file]
    shards = [file.with_name(f"{match[1]}-{i:05d}-of-{match[3]}.gguf") for i in range(1, int(match[3]) + 1)]
    if missing := [shard.name for shard in shards if not shard.exists()]:
        raise PullError(f"{file.name} is one of {len(shards)} pieces; missing beside it: {', '.join(missing)}")
    return shards


def _write_directory(staging: Path, digests: Mapping[Path, str], progress: Progress) -> None:
    """`digests`: hex SHA-256 of each shard."""
    shards = list(digests)
    size = sum(shard.stat().st_size for shard in shards)
    progress("convert", 0, size)
    weights = [staging / (shard.name if len(shards) > 1 else "model.gguf") for shard in shards]
    for shard, weight in zip(shards, weights, strict=True):
        link(shard.resolve(), weight)
    try:
        files = _config_files(weights)
    except Exception as error:  # the readers raise many types on damaged files
        raise PullError(f"{shards[0].name} is damaged or of an unknown kind: {error}") from error
    write_digests(staging, dict(zip([weight.name for weight in weights], digests.values(), strict=True)))
    files["source.json"] = {weight.name: stamp(weight) for weight in weights}
    for name, content in files.items():
        (staging / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    progress("convert", size, size)


def _config_files(weights: list[Path]) -> dict[str, Any]:
    """File name -> content. The imports take seconds, and are needed only when a model is prepared."""
    from gguf import GGUFReader

    from models.gguf.config import config_from_metadata
    from models.gguf.index import tensor_index
    from server.weights import gguf_tokenizer

    readers = [GGUFReader(weight) for weight in weights]
    metadata = {name: field.contents() for name, field in readers[0].fields.items()}
    return {
        "config.json": config_from_metadata(*readers),
        "tensors.json": tensor_index(weights),
        "tokenizer.json": gguf_tokenizer.tokenizer_json(metadata),
        "tokenizer_config.json": gguf_tokenizer.tokenizer_config(metadata),
        "generation_config.json": gguf_tokenizer.generation_config(metadata),
    }
