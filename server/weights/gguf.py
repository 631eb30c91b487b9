"""A GGUF file -> a directory that the engine opens without parsing anything: config.json, tokenizer.json,
tokenizer_config.json, generation_config.json, tensors.json (where each tensor lies) and the weights, linked.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.weights.cache import Progress, PullError, build
from server.weights.wheels import digest

LAYOUT = 1  # raise when what is written here changes: directories prepared under another number are made anew
PIECE = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")


def prepare_gguf(file: Path, home: Path, progress: Progress) -> Path:
    """The prepared directory of `file`, keyed by its content. Of a model in pieces (NAME-00001-of-00004.gguf) any
    piece may be named."""
    pieces = _pieces(file)
    content = hashlib.sha256("".join(_identity(piece, home, progress) for piece in pieces).encode()).hexdigest()
    match = PIECE.fullmatch(file.name)
    target = home / "models" / f"{match[1] if match else file.stem}-{content[:16]}-v{LAYOUT}"
    if target.exists() and not _unchanged(target):
        shutil.rmtree(target)  # hard links: someone wrote into the file that we share
    return build(target, lambda staging: _fill(staging, pieces, progress), progress)


def _pieces(file: Path) -> list[Path]:
    match = PIECE.fullmatch(file.name)
    if not match:
        return [file]
    pieces = [file.with_name(f"{match[1]}-{i:05d}-of-{match[3]}.gguf") for i in range(1, int(match[3]) + 1)]
    if missing := [piece.name for piece in pieces if not piece.exists()]:
        raise PullError(f"{file.name} is one of {len(pieces)} pieces; missing beside it: {', '.join(missing)}")
    return pieces


def _identity(file: Path, home: Path, progress: Progress) -> str:
    """SHA-256 of the content, computed once for a path, size, inode and time of change."""
    status = file.stat()
    stamp = f"{file.resolve()} {status.st_size} {status.st_ino} {status.st_mtime_ns}"
    known = home / "identities" / hashlib.sha256(stamp.encode()).hexdigest()
    if known.exists():
        return known.read_text()
    found = digest(file, progress)
    known.parent.mkdir(parents=True, exist_ok=True)
    fresh = known.with_name(f"{known.name}.{os.getpid()}")
    fresh.write_text(found)
    fresh.replace(known)
    return found


def _fill(staging: Path, pieces: Sequence[Path], progress: Progress) -> None:
    size = sum(piece.stat().st_size for piece in pieces)
    progress("convert", 0, size)
    weights = [staging / (piece.name if len(pieces) > 1 else "model.gguf") for piece in pieces]
    for piece, weight in zip(pieces, weights, strict=True):
        _link(piece.resolve(), weight)
    try:
        files = _descriptions(weights)
    except Exception as error:  # a damaged file may break its readers anywhere
        raise PullError(f"{pieces[0].name} is damaged or of an unknown kind: {error}") from error
    files["source.json"] = {weight.name: _stamp(weight) for weight in weights}
    for name, content in files.items():
        (staging / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    progress("convert", size, size)


def _descriptions(weights: list[Path]) -> dict[str, Any]:
    """File name -> content. These imports take seconds and are needed once in a model's life."""
    from gguf import GGUFReader

    from models.gguf import config_from_metadata, tensor_index
    from server.weights import gguf_tokenizer

    readers = [GGUFReader(weight) for weight in weights]
    metadata = {name: field.contents() for name, field in readers[0].fields.items()}
    return {
        "config.json": config_from_metadata(*readers),
        "tensors.json": tensor_index(weights),
        "tokenizer.json": gguf_tokenizer.tokenizer(metadata).to_str(),
        "tokenizer_config.json": gguf_tokenizer.tokenizer_config(metadata),
        "generation_config.json": gguf_tokenizer.generation_config(metadata),
    }


def _link(source: Path, target: Path) -> None:
    """No second copy of the weights where the file system can help it."""
    try:
        target.hardlink_to(source)
    except OSError:
        try:
            target.symlink_to(source)
        except OSError:
            shutil.copyfile(source, target)


def _unchanged(directory: Path) -> bool:
    stamps: dict[str, list[int]] = json.loads((directory / "source.json").read_text())
    return all((directory / name).exists() and _stamp(directory / name) == stamp for name, stamp in stamps.items())


def _stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
