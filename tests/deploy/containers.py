"""docker, or podman with podman-compose, by their command lines."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.deploy.compose_file import ROOT, read_compose

IMAGE = "stoa:cpu"
BEGAN = time.monotonic()


class Missing(Exception):
    """A program or an image that the containers need is not on this machine."""


@dataclass(frozen=True)
class Containers:
    """One project of docker-compose.yml. `files`: of compose, relative to the root of the repository."""

    program: str
    compose_command: tuple[str, ...]
    project: str
    files: tuple[str, ...]
    environment: Mapping[str, str]

    def run(self, *arguments: str, check: bool = True, **options: Any) -> str:
        """The output of `docker ...`; without `check` with the errors, else they raise RuntimeError."""
        return _run([self.program, *arguments], check, environment=self.environment, **options)

    def compose(self, *arguments: str, **options: Any) -> str:
        files = [part for file in self.files for part in ("-f", file)]
        return _run([*self.compose_command, "-p", self.project, *files, *arguments], True, environment=self.environment, **options)

    def with_profiles(self, *profiles: str) -> "Containers":
        """Without one those that .env chooses."""
        others = {name: value for name, value in self.environment.items() if name != "COMPOSE_PROFILES"}
        return replace(self, environment=others | ({"COMPOSE_PROFILES": ",".join(profiles)} if profiles else {}))

    def names(self, service: str) -> list[str]:
        """Of its containers, in order."""
        labels = {"com.docker.compose.project": self.project, "com.docker.compose.service": service}
        filters = [part for label, value in labels.items() for part in ("--filter", f"label={label}={value}")]
        return sorted(self.run("ps", "-a", *filters, "--format", "{{.Names}}").split())

    def has_image(self, name: str) -> bool:
        return not subprocess.run([self.program, "image", "inspect", name], capture_output=True).returncode

    def name(self, service: str) -> str:
        found = self.names(service)
        assert len(found) == 1, f"{service}: {found}"
        return found[0]

    def exec(self, service: str, *command: str, check: bool = True, **options: Any) -> str:
        return self.run("exec", self.name(service), *command, check=check, **options)

    def state(self, name: str) -> dict[str, Any]:
        return json.loads(self.run("inspect", name))[0]["State"]

    def logs(self, name: str) -> str:
        """What it wrote to standard output alone."""
        return subprocess.run([self.program, "logs", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout


def find_containers(project: str, files: Sequence[str], environment: Mapping[str, str]) -> Containers:
    """Raises Missing."""
    program, command = _programs()
    found = Containers(program, command, project, tuple(files), {**os.environ, **environment, "BUILDAH_FORMAT": "docker"})
    for image in (re.search(r"^ARG PYTHON=(.+)$", (ROOT / "Dockerfile").read_text(), re.M)[1], *foreign_images("cpu", "cluster")):  # pyright: ignore[reportOptionalSubscript]
        if not found.has_image(image):
            raise Missing(f"the image {image} is not on this machine: {program} pull {image}")
    return found


def foreign_images(*profiles: str) -> set[str]:
    services = read_compose({})["services"].values()
    return {service["image"] for service in services if {*profiles} & {*service["profiles"]} and not service["image"].startswith("stoa:")}


def _programs() -> tuple[str, tuple[str, ...]]:
    if shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return "docker", ("docker", "compose")
    if shutil.which("podman") and shutil.which("podman-compose"):
        return "podman", ("podman-compose",)
    raise Missing("there is neither docker with compose nor podman with podman-compose on PATH")


def _run(command: Sequence[str], check: bool, *, environment: Mapping[str, str], timeout: float = 600, stdin: str | None = None) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, input=stdin or "")
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return (done.stdout if check else done.stdout + done.stderr).strip()


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - began:.1f} s")


def wait_until(what: str, happens: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def postgres_override(containers: Containers, folder: Path) -> Path | None:
    """For an image of PostgreSQL that is not the official one and does not read POSTGRES_PASSWORD_FILE: a compose file in which it is
    told the password itself."""
    image = read_compose({})["services"]["postgres"]["image"]
    entry = json.loads(containers.run("image", "inspect", image))[0]["Config"]["Entrypoint"]
    if entry == ["docker-entrypoint.sh"]:
        return None
    told = 'POSTGRES_PASSWORD="$$(cat "$$POSTGRES_PASSWORD_FILE")" exec "$$0" "$$@"'
    file = folder / "postgres.yml"
    file.write_text(json.dumps({"services": {"postgres": {"entrypoint": ["sh", "-c", told, *entry]}}}))  # JSON is YAML
    return file


def main_or_missing(run: Callable[[], None]) -> int:
    try:
        run()
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 3
    return 0
