"""Who may import whom. The folders speak one language each; a wrong import is a border crossed."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("server", "retrieval", "mcp_servers", "engine", "models", "bench")


def rooms(names: str, *others: str) -> set[str]:
    """Rooms of server/ by their short names, and what else may be imported."""
    return {f"server.{name}" for name in names.split()} | set(others)


# What every API may import, besides its own room.
API = rooms(
    "api.common core archive.api archive.batches.records archive.uploads.records text speech images runtime http chat",
    "engine.api",
    "retrieval.api",
    "retrieval.images.limits",
    "retrieval.records",
    "retrieval.store.api",
)
APIS = (
    "anthropic",
    "audio",
    "batches",
    "chat_completions",
    "completions",
    "documents",
    "embeddings",
    "images",
    "mcp",
    "ollama",
    "responses",
    "uploads",
)

# Of several keys that fit a module the longest counts. The rooms of server/ stand in the order in which they may be imported: none
# may import one that comes after it.
MAY: dict[str, set[str]] = {
    "server": set(),
    "server.core": rooms("core", "engine.api", "retrieval.api", "retrieval.citations.cite"),
    "server.core.images": rooms("core", "retrieval.images.limits"),  # what goes wrong with an image
    "server.weights": rooms("weights core"),
    "server.weights.gguf": rooms("weights", "models.gguf"),
    "server.weights.config": rooms("weights", "models.ctranslate2"),
    "server.weights.ctranslate2": rooms("weights", "models.ctranslate2"),
    "server.weights.safetensors_copy": rooms("weights", "models.gguf"),
    "server.archive": rooms("archive", "retrieval.api", "retrieval.records", "retrieval.store"),
    "server.text": rooms("text core", "engine.api"),
    "server.text.images": rooms("text core", "engine.api", "retrieval.images"),
    "server.speech": rooms("speech core text", "engine.api", "retrieval.sandbox"),
    "server.speech.reading": rooms("speech core", "retrieval.api"),  # for the knowledge base
    "server.images": rooms("images core", "engine.api", "retrieval.images"),
    "server.runtime": rooms(
        "runtime core weights archive text speech images", "engine.api", "retrieval.api", "retrieval.records", "retrieval.store.api"
    ),
    "server.runtime.seeing": rooms("runtime core text", "retrieval.images.limits"),
    "server.runtime.loading": rooms("runtime core weights text speech images", "engine", "retrieval.images"),  # opens the engines
    "server.runtime.knowledge_base": rooms("runtime weights", "retrieval", "engine.api"),  # opens it, for server and command line
    "server.runtime.classifier": rooms("runtime weights", "retrieval"),  # as the knowledge base
    "server.mcp": rooms("mcp core weights runtime archive.api"),
    "server.mcp.trust.shared_pins": rooms("mcp core archive.api", "retrieval.api"),  # in the database
    "server.mcp.builtin": rooms("mcp core runtime", "mcp_servers"),  # runs our own MCP servers
    "server.http": rooms("http core runtime archive.api", "retrieval.api", "retrieval.records", "retrieval.store.api"),
    "server.chat": rooms("chat core archive.api text runtime mcp", "engine.api", "retrieval.citations.marks"),
    "server.chat.grounding": rooms("chat.grounding core text runtime", "engine.api", "retrieval"),
    **{f"server.api.{api}": API | {f"server.api.{api}"} for api in APIS},
    "server.api.common": rooms("api.common core text http", "engine.api", "retrieval.api", "retrieval.citations.cite", "retrieval.records"),
    "server.api.system": API | rooms("api.system api.chat_completions"),  # /tokenize takes the messages of a chat
    "server.api.system.architectures": API | rooms("api.system weights", "models"),  # describes them, without a module
    "server.api.batches": API | rooms("api.batches api.documents"),  # what comes in and out is a file
    "server.api.uploads": API | rooms("api.uploads api.documents"),  # what comes out is a file
    "server.api.routes": rooms("api http runtime"),
    "server.app": {"server", "engine", "retrieval.store.api", "retrieval.images.limits"},  # everything put together
    "server.cli": {"server", "engine.api", "retrieval"},
    "server.cli.main": {"server", "bench"},
    "server.cli.arch": {"server", "models"},
    "server.cli.mcp.config": {"server", "mcp_servers"},
    "mcp_servers": {"mcp_servers", "retrieval"},
    "mcp_servers.knowledge": {
        "mcp_servers",
        "retrieval",
        "server.runtime.knowledge_base",
        "server.runtime.settings",
    },  # opens a knowledge base by itself
    "retrieval": {"retrieval", "engine.api"},
    "retrieval.embedding.embed": {"retrieval", "engine"},  # opens the engine's encoder, where one is wanted
    "retrieval.api": set(),
    "retrieval.sandbox": {"retrieval.sandbox"},
    "retrieval.images": {"retrieval.images", "retrieval.sandbox"},
    "retrieval.records": {"retrieval.api"},
    "engine": {"engine"},
    "engine.api": {"engine.api"},
    "engine.api.vision": {"engine.api", "models.spec"},
    "engine.remote": {"engine.remote", "engine.api"},
    "engine.embedded": {"engine.embedded", "engine.api", "engine.checks", "engine.end_tokens", "engine.recurrence", "models"},
    "engine.recurrence": {"engine.recurrence", "models"},
    "engine.vllm.plugin": {"engine.vllm.plugin", "engine.recurrence", "models"},
    "engine.vllm.client": {"engine.vllm.client", "engine.embedded.sampling", "engine.api", "engine.checks", "engine.end_tokens"},
    "engine.vllm.client.choose": {"models.families"},
    "models": {"models"},
    "models.spec": {"models.spec"},
    "models.ops": {"models.spec", "models.routing"},
    "models.routing": {"models.spec"},
    "models.masks": {"models.spec"},
    "models.score_bias": {"models.spec", "models.ops"},
    "models.recipes": set(),
    "models.formats": {"models.formats", "models.quant", "models.hf"},
    "models.batch": {"models.spec", "models.ops", "models.quant", "models.score_bias"},
    "models.parts": {"models.parts", "models.spec", "models.batch", "models.ops", "models.score_bias"},
    "models.parts.long_conv": {"models.parts", "models.spec", "models.batch", "models.quant"},  # has a leaf: makes filters of weights
    "models.parts.diffusion.convolution": {"models.quant"},  # is a leaf
    "models.stacks": {"models.stacks", "models.parts", "models.spec", "models.batch", "models.ops"},
    "models.families": {"models.families", "models.spec", "models.recipes", "models.hf"},
    "bench": {"bench", "server", "retrieval", "engine.api", "models"},
    "bench.encoder_decoder": {"bench", "engine"},
    "bench.images": {"bench", "engine"},
    "bench.vision_language": {"bench", "engine"},
    "bench.denoisers": {"bench", "engine", "models"},
    "bench.experts": {"bench", "engine", "models"},
    "bench.kernels": {"bench", "engine", "models"},  # compares backends, below any server
    "bench.recurrent": {"bench", "engine", "models"},
    "bench.speculation": {"bench", "engine"},
    "bench.scale.steps": {"bench", "engine"},
}
VLLM = ("engine.vllm",)  # all that imports vllm
TORCHLESS = ("server", "retrieval", "mcp_servers", "engine.api", "engine.remote", "models.spec")
MODELS_NEED = {"torch", "numpy", "safetensors", "gguf"}


@cache
def modules() -> dict[str, Path]:
    paths = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, *, late: bool = True) -> Iterator[str]:
    """Absolute names of what a file imports, at any depth of it or (`late` False) at its top; `from a import b` counts as a.b."""
    for node in ast.walk(_tree(path)) if late else _tree(path).body:
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
    assert "vllm" not in foreign or any(within(module, prefix) for prefix in VLLM)
    if within(module, "models"):
        assert foreign <= MODELS_NEED, f"models/ needs torch and the readers of its files, not {foreign - MODELS_NEED}"


def test_the_rooms_of_the_server_stand_in_an_order() -> None:
    """Each may import those before it: no arrow runs back, also through others."""
    order = list(dict.fromkeys(".".join(key.split(".")[:2]) for key in MAY if key.startswith("server.")))
    for at, room in enumerate(order):
        later = [name for key in MAY if within(key, room) for name in MAY[key] if any(within(name, other) for other in order[at + 1 :])]
        assert not later, f"{room} may not import {', '.join(later)}, which come after it"


def test_no_file_imports_itself_through_others() -> None:
    """At the top of files; what is imported late, because it is heavy, is not counted."""
    known = modules()
    needs = {module: {found for name in imports(path, late=False) if (found := _module(name, known))} for module, path in known.items()}
    graphlib.TopologicalSorter({module: found - {module} for module, found in needs.items()}).prepare()  # raises CycleError


@pytest.mark.parametrize("folder", sorted({path.parent for top in ("server", "retrieval") for path in (ROOT / top).rglob("*.py")}))
def test_a_room_is_seen_at_a_glance(folder: Path) -> None:
    entries = [path for path in folder.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))]
    assert len(entries) <= (14 if folder.name == "server" else 16)


def _module(name: str, known: dict[str, Path]) -> str | None:
    """The file that an imported name comes from: a module, or a name in one."""
    return next((found for found in (name, name.rpartition(".")[0]) if found in known and known[found].name != "__init__.py"), None)


def test_the_text_side_runs_without_torch() -> None:
    names = [
        name
        for name in modules()
        if within(name, "server") and name not in ("server.cli.arch.command", "server.cli.arch.text", "server.weights.gguf")
    ]
    code = f"import sys; sys.modules['torch'] = None; import importlib; [importlib.import_module(name) for name in {names}]"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
