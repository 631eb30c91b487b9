"""Prepares a folder of CTranslate2's for the engine: a directory with config.json that writes its architecture out, a link to model.bin
and copies of what belongs to the tokenizer."""

import hashlib
import json
import shutil
from pathlib import Path

from server.weights.cache import PullError, build_directory
from server.weights.integrity import content_digest, write_digests
from server.weights.links import link, stamp, unchanged
from server.weights.progress import Progress

LAYOUT_VERSION = 2  # increase it when the files written here change
_COPIED = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")
_READ = ("model.bin", "config.json", "vocabulary.json", "vocabulary.txt", *_COPIED)


def prepare_ctranslate2(folder: Path, home: Path, progress: Progress) -> Path:
    """The prepared directory, keyed by the content of the folder's files; `folder` itself where it is one."""
    if (folder / "source.json").exists():
        return folder
    if not (folder / "tokenizer.json").exists():
        raise PullError(f"{folder} has no tokenizer.json; convert the model with --copy_files tokenizer.json tokenizer_config.json")
    files = [
        folder / name for name in ("model.bin", "config.json", "vocabulary.json", "vocabulary.txt", *_COPIED) if (folder / name).exists()
    ]
    digests = [content_digest(file, home, progress) for file in files]
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    target = home / "models" / f"{folder.resolve().name}-{digest[:16]}-v{LAYOUT_VERSION}"
    if target.exists() and not unchanged(target):
        shutil.rmtree(target)
    return build_directory(target, lambda staging: _write_directory(folder, staging, digests[0], progress), progress)


def _write_directory(folder: Path, staging: Path, digest: str, progress: Progress) -> None:
    """`digest`: hex SHA-256 of model.bin."""
    # takes seconds, and is needed only when a model is prepared
    from models.ctranslate2.folder import config_of, generation_config_of

    weights = staging / "model.bin"
    size = (folder / "model.bin").stat().st_size
    progress("convert", 0, size)
    try:
        config = config_of(folder)
    except ValueError as error:
        raise PullError(f"{folder} cannot be used: {error}") from error
    link((folder / "model.bin").resolve(), weights)
    for name in _COPIED:
        if (folder / name).exists():
            shutil.copyfile(folder / name, staging / name)
    if (of_answers := generation_config_of(folder)) and not (folder / "generation_config.json").exists():
        (staging / "generation_config.json").write_text(json.dumps(of_answers), encoding="utf-8")
    write_digests(staging, {weights.name: digest})
    (staging / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (staging / "source.json").write_text(json.dumps({weights.name: stamp(weights)}), encoding="utf-8")
    progress("convert", size, size)
