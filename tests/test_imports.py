"""Who may import whom. The folders speak one language each; a wrong import is a border crossed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("server", "retrieval", "mcp_servers", "engine", "models", "bench")

# Of several keys that fit a module the longest counts.
MAY: dict[str, set[str]] = {
    "server": {"server", "engine.api", "retrieval.api", "retrieval.records", "retrieval.store.api"},
    "server.openai": {"server.openai"},
    "server.anthropic": {"server", "retrieval.api", "engine.api"},
    "server.host": {"server", "mcp_servers", "retrieval.api", "retrieval.store.api"},  # runs our own MCP servers, too
    "server.mount": {"server", "mcp_servers"},
    "server.mcp_config": {"server", "mcp_servers"},
    "server.archive": {"server.archive", "retrieval.api", "retrieval.records", "retrieval.store"},
    "mcp_servers": {"mcp_servers", "retrieval"},
    "mcp_servers.knowledge": {"mcp_servers", "retrieval", "server.knowledge", "server.settings"},  # opens a knowledge base by itself
    "server.app": {"server", "engine", "retrieval"},  # where the parts are put together
    "server.knowledge": {"server", "engine", "retrieval"},  # the same for the knowledge base, which the command line opens too
    "server.prepare": {"server", "models.gguf"},
    "server.architecture": {"server", "models"},
    "server.chat_message": {"server", "retrieval.api", "retrieval.cite"},
    "server.events": {"server", "engine.api", "retrieval.api", "retrieval.cite"},
    "server.grounding": {"server", "engine.api", "retrieval.api", "retrieval.cite", "retrieval.records", "retrieval.store.api"},
    "server.rewrite": {"server", "engine.api", "retrieval.lexical"},
    "server.courtesies": {"retrieval.lexical"},
    "server.marks": {"retrieval.marks"},
    "server.answer": {"server", "engine.api", "retrieval.marks"},
    "server.evaluate": {"server", "retrieval"},
    "server.ingest": {"server", "engine.api", "retrieval"},
    "server.lookup": {"server", "engine.api", "retrieval"},
    "server.cli": {"server", "bench"},
    "retrieval": {"retrieval", "engine.api"},
    "retrieval.embed": {"retrieval", "engine"},  # opens the engine's encoder, where one is wanted
    "retrieval.api": set(),
    "retrieval.records": {"retrieval.api"},
    "engine": {"engine"},
    "engine.api": set(),
    "engine.embedded": {"engine", "models"},
    "models": {"models"},
    "models.spec": set(),
    "models.ops": set(),
    "models.batch": {"models.spec", "models.ops", "models.quant"},
    "models.parts": {"models.parts", "models.spec", "models.batch", "models.ops"},
    "models.stacks": {"models.parts", "models.spec", "models.batch", "models.ops"},
    "models.families": {"models.families", "models.spec", "models.weights", "models.hf"},
    "bench": {"bench", "server", "retrieval", "engine.api", "models"},
}
TORCHLESS = ("server", "retrieval", "mcp_servers", "engine.api", "models.spec")
MODELS_NEED = {"torch", "numpy", "safetensors", "gguf"}


def modules() -> dict[str, Path]:
    paths = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports(path: Path) -> Iterator[str]:
    """Absolute names of what a file imports, at any depth of it; `from a import b` counts as a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                yield "(a relative import)"
            case _:
                pass


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def allowed(module: str, name: str) -> bool:
    if not any(within(name, folder) for folder in FOLDERS) and not name.startswith("("):
        return True
    key = max((key for key in MAY if within(module, key)), key=len)
    return any(within(name, package) for package in MAY[key])


@pytest.mark.parametrize("module", modules())
def test_borders(module: str) -> None:
    wrong = [name for name in imports(modules()[module]) if not allowed(module, name)]
    assert not wrong, f"{module} may not import {', '.join(wrong)}"


@pytest.mark.parametrize("module", modules())
def test_foreign_packages(module: str) -> None:
    foreign = {name.partition(".")[0] for name in imports(modules()[module])} - set(FOLDERS) - sys.stdlib_module_names
    if any(within(module, prefix) for prefix in TORCHLESS):
        assert "torch" not in foreign
    if within(module, "models"):
        assert foreign <= MODELS_NEED, f"models/ needs torch and the readers of its files, not {foreign - MODELS_NEED}"


def test_the_text_side_runs_without_torch() -> None:
    names = [name for name in modules() if within(name, "server") and name not in ("server.architecture", "server.prepare")]
    code = f"import sys; sys.modules['torch'] = None; import importlib; [importlib.import_module(name) for name in {names}]"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
