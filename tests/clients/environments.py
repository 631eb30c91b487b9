"""Environments of their own for the clients: their versions are pinned, and nothing of this project is installed there."""

import os
import subprocess
import sys
from pathlib import Path

from server.weights.paths import default_home
from tests.conformance.npm import NODE, NPM, environment

PYTHON_PACKAGES = (
    "openai[realtime]==3.57.0",
    "anthropic==2.14.0",
    "ollama==0.6.3",
    "langchain-openai==1.7.4",
    "litellm==1.110.2",
    "pydantic-ai-slim[openai]==2.68.0",
    "openai-agents==0.24.0",
    "haystack-ai==3.4.1",
)
OLDER_PACKAGES = ("openai==2.54.0", "llama-index-llms-openai-like==0.8.1", "instructor==1.17.0")  # the newest openai that both take
EVALUATION = ("lm-eval[api]==0.4.13",)
MCP = ("fastmcp==4.2.3",)
NODE_PACKAGES = ("ai@7.0.173", "@ai-sdk/openai@4.0.118", "@ai-sdk/openai-compatible@3.0.92", "@ai-sdk/anthropic@4.0.105", "ollama@0.6.4")
AGENTS = ("@openai/codex@0.171.0", "@anthropic-ai/claude-code@2.1.332")


def python(name: str, *packages: str) -> Path:
    """The interpreter of the environment `name` with `packages`. uv resolves them: pip takes minutes."""
    folder = default_home() / "clients" / name
    interpreter = folder / "bin" / "python"
    stamp = folder / "packages"
    if not stamp.exists() or stamp.read_text() != " ".join(packages):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", "uv"], check=True)
        install = [interpreter, "-m", "uv", "pip", "install", "--quiet", *packages]
        subprocess.run(install, env={**os.environ, "VIRTUAL_ENV": str(folder)}, check=True)
        stamp.write_text(" ".join(packages))
    return interpreter


def node_modules(name: str, *packages: str) -> Path:
    """The folder `name` with `packages`, installed without running any of their scripts."""
    folder = default_home() / "clients" / name
    stamp = folder / "packages"
    if not stamp.exists() or stamp.read_text() != " ".join(packages):
        folder.mkdir(parents=True, exist_ok=True)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", "--prefix", str(folder)]
        subprocess.run([NODE, NPM, "install", *quiet, *packages], env=environment(), stdout=sys.stderr, check=True)
        stamp.write_text(" ".join(packages))
    return folder
