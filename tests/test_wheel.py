"""The built wheel works in an environment of its own, whatever lies in the directory where it is started."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("server", "engine", "models", "bench")
DECOY = "raise SystemExit('the decoy was imported')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy (setuptools leaves its build folder in the sources) and without a compiler, which nobody must have."""
    subprocess.run([ROOT / "scripts/page"], check=True)
    source, out = tmp_path_factory.mktemp("source") / "stoa", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "*.so", "__pycache__", "node_modules"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
        "-w",
        out,
        source,
    ]
    subprocess.run(command, check=True, env={**os.environ, "CC": "false", "CXX": "false"})
    return next(out.glob("stoa-*.whl"))


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment that holds the wheel, and borrows what it depends on from this one."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    paths = {name: Path(path) for name, path in sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)}).items()}
    target = [
        f"--python={paths['scripts'] / 'python'}",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
        str(wheel),
    ]
    subprocess.run([sys.executable, "-m", "pip", *target], check=True)
    # .pth lines of the borrowed folder are not read, so an editable install there cannot shadow the wheel
    (paths["purelib"] / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return paths["scripts"]


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(DECOY)
    return tmp_path


def run(command: list[str | Path], directory: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_starts_beside_decoys(scripts: Path, decoys: Path) -> None:
    assert "serve" in run([scripts / "stoa", "--help"], decoys)
    assert "--rounds" in run([scripts / "stoa", "bench", "--help"], decoys)


def test_it_is_imported_from_its_environment(scripts: Path, decoys: Path) -> None:
    code = f"import importlib; print(*(importlib.import_module(name).__file__ for name in {PACKAGES}), sep='\\n')"
    files = [Path(line) for line in run([scripts / "python", "-P", "-c", code], decoys).splitlines()]
    assert all(file.is_relative_to(scripts.parent) for file in files), files


def test_every_module_is_in_the_wheel(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    modules = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert modules <= packed
    assert not any(name.startswith("tests/") for name in packed)


def test_the_wheel_carries_the_page(wheel: Path) -> None:
    built = ROOT / "server/api/system/built_page"
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert {str(path.relative_to(ROOT)) for path in built.rglob("*.*")} <= packed and f"{built.relative_to(ROOT)}/index.html" in packed
