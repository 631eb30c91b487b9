"""The bundles of our servers: the same bytes each time, nothing left out, and what is in them runs."""

import ast
import asyncio
import json
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_servers.bundle import BUNDLES, DATABASE, FILES, KNOWLEDGE, ROOT, Bundle, build, requirements
from server.mcp.config.server_spec import Stdio
from server.mcp.transport.connect import connect
from server.mcp.transport.raw_results import raw_call_result

MODULES = {"chardetng-py": "chardetng_py", "google-re2": "re2"}  # of distributions with other names
WITH_MCP = {"anyio", "pydantic_core"}  # come along with what is named


def unpacked(bundle: Bundle, folder: Path) -> Path:
    target = folder / bundle.name
    zipfile.ZipFile(build(bundle, folder)).extractall(target)
    return target


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (module, *(f"{module}.{alias.name}" for alias in names))
            case _:
                pass


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_the_same_checkout_makes_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    assert build(bundle, tmp_path).read_bytes() == build(bundle, tmp_path / "again").read_bytes()


@pytest.mark.parametrize("bundle", (FILES, DATABASE), ids=lambda bundle: bundle.name)
def test_everything_that_is_imported_is_there(bundle: Bundle, tmp_path: Path) -> None:
    """Our own modules are in the bundle, others among what it needs."""
    root = unpacked(bundle, tmp_path)
    found = {name for path in root.rglob("*.py") for name in imports(path)}
    foreign = {name.partition(".")[0] for name in found} - sys.stdlib_module_names - {"mcp_servers", "retrieval"}
    assert foreign <= {MODULES.get(need, need) for need in bundle.needs} | WITH_MCP
    for name in (name for name in found if name.startswith("mcp_servers.")):
        module = root / name.replace(".", "/")
        assert any(path.exists() for path in (module, module.with_suffix(".py"), module.parent.with_suffix(".py"))), name


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_the_manifest_passes_on_all_that_it_asks_for(bundle: Bundle, tmp_path: Path) -> None:
    root = unpacked(bundle, tmp_path)
    manifest: dict[str, Any] = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    config = manifest["server"]["mcp_config"]
    passed = set(re.findall(r"\$\{user_config\.(\w+)\}", json.dumps(config)))
    assert passed == set(manifest["user_config"])
    secret = {key for key, field in manifest["user_config"].items() if field.get("sensitive")}
    assert not any(f"user_config.{key}" in argument for key in secret for argument in config["args"])
    assert manifest["tools"] and all(tool["description"] for tool in manifest["tools"])
    assert (root / manifest["server"]["entry_point"]).is_file()


def test_what_is_in_a_bundle_runs(tmp_path: Path) -> None:
    """As the client's uv would start it, but with the packages that are here."""

    async def run() -> str:
        async with connect(Stdio(command=sys.executable, args=("-m", "mcp_servers.files", str(shown)), cwd=str(root))) as client:
            return str(raw_call_result(await client.call_tool("read_text", {"path": "walrus.txt"})))

    root, shown = unpacked(FILES, tmp_path), tmp_path / "shown"
    shown.mkdir()
    (shown / "walrus.txt").write_text("Walruses sleep on ice floes.", encoding="utf-8")
    assert "ice floes" in asyncio.run(run())


def test_requirements_are_those_of_the_product() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(requirements(KNOWLEDGE, project)) >= set(project["dependencies"])
    with pytest.raises(ValueError, match="typo"):
        requirements(replace(FILES, needs=("typo",)), project)
