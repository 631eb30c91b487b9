"""docker-compose.yml holds what it promises: profiles, secrets, files, settings."""

import re
from pathlib import Path
from typing import Any

import pytest

from server.cli.main import cli
from server.runtime.settings import Settings
from tests.deploy.compose_file import PROFILES, ROOT, VARIABLE, environment_of, mounts, read_compose, services, words

COMPOSE = read_compose({})
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
BASE = {"secrets", "postgres", "databases"}
EXPECTED = {
    "cpu": BASE | {"stoa"},
    "gpu": BASE | {"stoa-gpu"},
    "cluster": BASE | {"nginx", "replica", "vllm", "ray-worker"},
    "watch": {"prometheus", "otel-collector", "jaeger", "grafana"},
}
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("stoa:")]
SERVERS = ("stoa", "stoa-gpu", "replica")
SECRET = re.compile(r"(?i)password|passwd|secret|token(?!izer)|_keys?(_|$)")
CREDENTIALS = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
OWN_DIRECTORIES = {"./weights"}  # of the user


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_has_its_services(profile: str) -> None:
    assert set(services(COMPOSE, profile)) == EXPECTED[profile]


def test_without_a_flag_the_profile_is_cpu() -> None:
    lines = (ROOT / ".env").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == ["COMPOSE_PROFILES=cpu"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_the_file(name: str) -> None:
    service = SERVICES[name]
    for key, value in environment_of(service).items():
        is_place = value.startswith(("/secrets/", "/run/secrets/"))
        assert not SECRET.search(key) or not value or is_place, f"{key}: from the environment, or the path of a file"
        assert not CREDENTIALS.search(value), f"{key}: a password in a URL"
    assert not CREDENTIALS.search(" ".join(words(service)))


def test_images_and_files_hold_no_secret() -> None:
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        assert not (re.match(r"\s*(ENV|ARG) ", line) and SECRET.search(line)), line
        assert not CREDENTIALS.search(line), line


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_is_given_exists(name: str) -> None:
    service = SERVICES[name]
    for source, _, read_only in mounts(service):
        if source.startswith("."):
            assert read_only, f"{source}: containers write into volumes only"
            assert source in OWN_DIRECTORIES or (ROOT / source).exists(), source
        else:
            assert source in COMPOSE["volumes"], source
    assert set(service.get("depends_on", ())) <= SERVICES.keys()
    assert set(service.get("networks", ())) <= COMPOSE["networks"].keys()
    for script in re.findall(r"/opt/(deploy/\w+\.py)", " ".join(words(service))):
        assert (ROOT / script).is_file(), script


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_on_this_machine_alone(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert ("user" in service) == (name == "secrets"), "root gives files away, and does nothing else"


@pytest.mark.parametrize("name", ["stoa", "stoa-gpu", "replica", "vllm", "ray-worker", "prometheus", "grafana", "nginx"])
def test_who_answers_requests_does_not_see_the_superusers_password(name: str) -> None:
    assert "admin-secrets" not in {source for source, _, _ in mounts(SERVICES[name])}


@pytest.mark.parametrize("name", SERVICES)
def test_settings_are_those_of_the_server(name: str) -> None:
    """And none is set to what nobody could change in stoa.env."""
    known = {f"STOA_{field.upper()}" for field in Settings.model_fields}
    given = {key for key in environment_of(SERVICES[name]) if key.startswith("STOA_")}
    assert given <= known | ({"STOA_API_KEYS"} if name == "secrets" else set())


@pytest.mark.parametrize("name", SERVERS)
def test_the_server_takes_its_settings(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key, value in environment_of(SERVICES[name]).items():
        if value.startswith("/secrets/"):
            file = tmp_path / value.rpartition("/")[2]
            file.write_text("sk-a\n")
            value = str(file)
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    settings = Settings(host="0.0.0.0")
    assert settings.api_keys and (settings.database_url or "").startswith("postgresql://")


@pytest.mark.parametrize("name", SERVICES)
def test_commands_of_stoa_are_those_of_its_parser(name: str) -> None:
    import typer

    found = words(SERVICES[name])
    if "stoa" in found:
        parse(typer.main.get_command(cli), found[found.index("stoa") + 1 :])


def test_the_image_starts_the_server() -> None:
    import typer

    command = re.search(r'^CMD \["sh", "-c", "exec stoa (.+) 2>&1"\]', (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    assert command, "exec: the server itself gets SIGTERM; standard output has the log"
    parse(typer.main.get_command(cli), command[1].split())


def parse(command: Any, arguments: list[str]) -> None:
    """Raises click's UsageError."""
    name, sub, rest = command.resolve_command(command.make_context("stoa", list(arguments), resilient_parsing=True), list(arguments))
    assert name and sub
    sub.make_context(name, list(rest))


def test_every_variable_of_the_file_is_documented() -> None:
    page = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")
    names = {found["name"] for found in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))}
    assert {name for name in names if f"`{name}" not in page} == set()
