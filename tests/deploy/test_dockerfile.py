"""The Dockerfile: stages, the user, and that all it copies is in the build's context."""

import re
import tomllib

from tests.deploy.compose_file import ROOT

TEXT = re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
STAGES = {found[2]: found[3] for found in re.finditer(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, re.M | re.S)}
PARENTS = {found[2]: found[1] for found in re.finditer(r"^FROM (\S+) AS (\S+)$", TEXT, re.M)}
COMPILERS = re.compile(r"\b(g\+\+|gcc|build-essential|clang|make|cmake)(?= |$)", re.M)


def lines(stage: str) -> list[str]:
    """Of a stage and of those it is built on."""
    return [*(lines(PARENTS[stage]) if PARENTS[stage] in STAGES else []), *STAGES[stage].splitlines()]


def test_there_are_two_targets_and_each_ends_as_a_user_without_rights() -> None:
    for target in ("cpu", "cuda"):
        users = [line.split()[1] for line in lines(target) if line.startswith("USER ")]
        assert users[-1] == "10001:10001"
        assert any(line.startswith("HEALTHCHECK ") and "health.py" in line for line in lines(target))
        assert [line for line in lines(target) if line.startswith("COPY --from=")] == [f"COPY --from=build-{target} /opt/stoa /opt/stoa"]


def test_what_serves_on_a_cpu_has_no_compiler() -> None:
    assert not COMPILERS.search("\n".join(line for line in lines("cpu") if line.startswith("RUN ")))
    assert COMPILERS.search(STAGES["build"])


def test_the_target_cpu_needs_no_stage_of_the_other() -> None:
    """Some builders make every stage that stands before the target."""
    names = list(STAGES)
    assert names.index("cpu") < names.index("build-cuda")


def test_the_context_holds_what_the_wheel_needs() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert "*" in ignored, "nothing else comes in: no secrets, no .git"
    assert let_in == packages | {"pyproject.toml", "setup.py", "deploy"}
    assert all((ROOT / name).exists() for name in let_in)
    assert {line.split()[1] for line in STAGES["wheel"].splitlines() if line.startswith("COPY ")} == packages | {"setup.py"}
