"""What the values of settings mean: names of models, keys, aliases, budgets."""

import hashlib
from pathlib import Path

HASHED = "sha256:"  # a key may be given as its hash, so that none need be kept in the open


def short_name(source: str) -> str:
    """What clients call a model that `pull` knows as `source`."""
    return Path(source.removeprefix("wheel:").partition("==")[0]).name.removesuffix(".gguf")


def text_or_file(value: str) -> str:
    """The content of the file of that name, if there is one."""
    try:
        if not Path(value).is_file():
            return value
    except (OSError, ValueError):  # no name of a file: too long, or with a null character
        return value
    try:
        return Path(value).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {value} cannot be read: {error}") from error


def read_keys(setting: str, file: Path) -> list[str]:
    """Empty lines and comments (#) are left out."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{setting}: {file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not (keys := [line for line in lines if line and not line.startswith("#")]):
        raise ValueError(f"{setting}: {file} holds no key")
    return keys


def hashed_key(key: str) -> str:
    if not key.strip():
        raise ValueError("an API key is empty")
    digest = key.removeprefix(HASHED) if key.startswith(HASHED) else hashlib.sha256(key.encode()).hexdigest()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError("an API key that begins with sha256: must go on with 64 lower-case hexadecimal digits")
    return digest


def split_alias(given: str) -> tuple[str, str]:
    """Raises ValueError."""
    alias, equals, name = given.partition("=")
    if not (alias and equals and name):
        raise ValueError(f"model_alias: {given!r} is not ALIAS=NAME")
    return alias, name


def split_budget(given: str) -> tuple[str, int]:
    """Raises ValueError."""
    name, _, size = given.partition("=")
    if not (name and size.isdecimal() and int(size)):
        raise ValueError(f"model_kv_memory: {given!r} is not NAME=MIB")
    return name, int(size)
