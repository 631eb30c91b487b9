"""docker-compose.yml as `docker compose` reads it: what stands for variables put in, profiles chosen."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?::?-(?P<default>[^}]*))?\}")
PROFILES = ("cpu", "gpu", "cluster", "watch")


def read_compose(environment: Mapping[str, str], file: Path = ROOT / "docker-compose.yml") -> dict[str, Any]:
    """https://docs.docker.com/reference/compose-file/interpolation: ${NAME} and ${NAME:-default}; $$ is one dollar."""
    text = VARIABLE.sub(lambda found: environment.get(found["name"]) or found["default"] or "", file.read_text(encoding="utf-8"))
    return yaml.safe_load(text.replace("$$", "$"))


def services(compose: dict[str, Any], *profiles: str) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if {*profiles} & {*service["profiles"]}}


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    given = service.get("environment", {})
    assert isinstance(given, dict), "as NAME: value"
    return {name: "" if value is None else str(value) for name, value in given.items()}


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Source (a volume's name or a path), target, and whether it is read-only."""
    for volume in service.get("volumes", ()):
        source, target, *how = volume.split(":")
        yield source, target, how == ["ro"]


def words(service: dict[str, Any]) -> list[str]:
    """Of the command, as a shell would part it."""
    command = service.get("command", [])
    assert isinstance(command, list), "as a list: nothing is quoted twice"
    return [word for part in command for word in str(part).split()]
