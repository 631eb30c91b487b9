"""Whether the weights on disk are those that were fetched: their SHA-256 is noted when a directory is filled."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from server.weights.cache import PullError
from server.weights.progress import Progress
from server.weights.wheels import file_sha256

DIGESTS = "sha256.json"  # name of a weight file in the directory -> hex SHA-256
PATTERNS = ("*.gguf", "*.safetensors", "model.bin")


def record_digests(directory: Path, progress: Progress) -> None:
    files = sorted(file for pattern in PATTERNS for file in directory.glob(pattern))
    write_digests(directory, {file.name: file_sha256(file, progress) for file in files})


def write_digests(directory: Path, digests: Mapping[str, str]) -> None:
    (directory / DIGESTS).write_text(json.dumps(digests))


def expect_intact(directory: Path, home: Path, progress: Progress) -> None:
    """Raises PullError for a weight file that is missing or is not what was fetched. A directory without digests passes."""
    if not (directory / DIGESTS).exists():
        return
    digests: dict[str, str] = json.loads((directory / DIGESTS).read_text())
    for name, digest in digests.items():
        file = directory / name
        if not file.exists():
            raise PullError(f"{file} is missing; delete {directory} and pull the model again")
        if content_digest(file, home, progress) != digest:
            raise PullError(f"{file} is damaged: its SHA-256 is not that of what was fetched; delete {directory} and pull the model again")


def content_digest(file: Path, home: Path, progress: Progress) -> str:
    """Hex SHA-256 of the content; cached by path, size, inode and modification time."""
    status = file.stat()
    key = f"{file.resolve()} {status.st_size} {status.st_ino} {status.st_mtime_ns}"
    cached = home / "identities" / hashlib.sha256(key.encode()).hexdigest()
    if cached.exists():
        return cached.read_text()
    digest = file_sha256(file, progress)
    cached.parent.mkdir(parents=True, exist_ok=True)
    temporary = cached.with_name(f"{cached.name}.{os.getpid()}")
    temporary.write_text(digest)
    temporary.replace(cached)
    return digest
