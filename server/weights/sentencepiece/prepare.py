"""Prepares a folder whose tokenizer is in SentencePiece's files: a directory with tokenizer.json, links to the weights and copies of the
rest."""

import hashlib
import json
import shutil
from pathlib import Path

from server.weights.cache import PullError, build_directory
from server.weights.integrity import content_digest, write_digests
from server.weights.links import link, stamp, unchanged
from server.weights.progress import Progress

LAYOUT_VERSION = 1  # increase it when the files written here change
PATTERNS = ("spiece.model", "sentencepiece.bpe.model", "*.spm")  # of the tokenizer, without its numbers
_COPIED = (
    "config.json",
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "*.index.json",
)


def is_sentencepiece(folder: Path) -> bool:
    """Whether it has a tokenizer of SentencePiece's and no other, and weights."""
    has_pieces = any(next(folder.glob(pattern), None) for pattern in PATTERNS)
    return has_pieces and not (folder / "tokenizer.json").exists() and any(folder.glob("*.safetensors"))


def prepare_sentencepiece(folder: Path, home: Path, progress: Progress) -> Path:
    """The prepared directory, keyed by the content of the folder's files. Raises PullError."""
    files = sorted({file for pattern in (*PATTERNS, *_COPIED, "vocab.json", "*.safetensors") for file in folder.glob(pattern)})
    digests = {file.name: content_digest(file, home, progress) for file in files}
    digest = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    target = home / "models" / f"{folder.resolve().name}-{digest[:16]}-v{LAYOUT_VERSION}"
    if target.exists() and not unchanged(target):
        shutil.rmtree(target)
    return build_directory(target, lambda staging: _write_directory(folder, staging, digests), progress)


def _write_directory(folder: Path, staging: Path, digests: dict[str, str]) -> None:
    """`digests`: hex SHA-256 by file name."""
    from server.weights.sentencepiece.tokenizer import convert

    if (tokenizer := convert(folder)) is None:
        raise PullError(f"{folder} has no tokenizer.json, and one can be made of SentencePiece's files for encoder-decoders alone")
    tokenizer.save(str(staging / "tokenizer.json"))
    weights = sorted(folder.glob("*.safetensors"))
    for file in weights:
        link(file.resolve(), staging / file.name)
    for file in (file for pattern in _COPIED for file in folder.glob(pattern)):
        shutil.copyfile(file, staging / file.name)
    write_digests(staging, {file.name: digests[file.name] for file in weights})
    (staging / "source.json").write_text(json.dumps({file.name: stamp(staging / file.name) for file in weights}), encoding="utf-8")
