"""Builds installable bundles (.mcpb) of the servers: python -m mcp_servers.bundle FOLDER, in a checkout.

A bundle is a ZIP of a manifest (version 0.4, server type "uv": https://github.com/modelcontextprotocol/mcpb), a pyproject.toml and
the sources; the client's uv installs the dependencies. Builds are reproducible."""

import asyncio
import json
import re
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer

from mcp_servers import database, files, knowledge
from mcp_servers.sql.source import parse_source

ROOT = Path(__file__).parents[1]
SHIPPED = (".py", ".json", ".html", ".cpp", ".h")
SHARED = ("mcp_servers/__init__.py", "mcp_servers/common.py")
DECODING = ("retrieval/__init__.py", "retrieval/parse/__init__.py", "retrieval/parse/common/__init__.py", "retrieval/parse/common/decoding")
EPOCH = (1980, 1, 1, 0, 0, 0)  # earliest timestamp that ZIP supports


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """`sources`: files and folders of the checkout. `needs`: dependencies among those in pyproject.toml; (): all.
    `asked`: settings that the client asks its user for. `given`: what it passes on to the server."""

    name: str
    title: str
    description: str
    sources: tuple[str, ...]
    needs: tuple[str, ...]
    asked: Mapping[str, Mapping[str, Any]]
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str]
    server: Callable[[Path], MCPServer[Any]]  # makes a server, to list its tools; takes a folder it may read

    @property
    def file(self) -> str:
        return f"stoa-{self.name}.mcpb"


FILES = Bundle(
    name="files",
    title="Files",
    description="Reads, lists and searches files in the folders that you choose, and nothing outside of them. Changes none.",
    sources=(*SHARED, "mcp_servers/files.py", "mcp_servers/fs", *DECODING),
    needs=("mcp", "pydantic", "chardetng-py", "webencodings", "google-re2"),
    asked={
        "folders": {
            "type": "directory",
            "title": "Folders",
            "description": "What may be read",
            "multiple": True,
            "required": True,
        }
    },
    arguments=("${user_config.folders}",),
    environment={},
    server=lambda folder: files.server([files.Root(folder, write=False)]),
)
DATABASE = Bundle(
    name="database",
    title="Database",
    description="Queries a SQLite, PostgreSQL, MySQL or MariaDB database. Changes nothing in it.",
    sources=(*SHARED, "mcp_servers/database.py", "mcp_servers/sql"),
    needs=("mcp", "pydantic", "psycopg", "pymysql"),
    asked={
        "url": {
            "type": "string",
            "title": "Database",
            "description": "sqlite:///FILE, postgresql://USER:PASSWORD@HOST/NAME or mysql://USER:PASSWORD@HOST/NAME",
            "sensitive": True,
            "required": True,
        }
    },
    arguments=("env:DATABASE_URL",),  # keeps the password out of the process list
    environment={"DATABASE_URL": "${user_config.url}"},
    server=lambda folder: database.server([parse_source(str(_empty_database(folder)))]),
)
KNOWLEDGE = Bundle(
    name="knowledge",
    title="Knowledge base",
    description="Searches and reads the documents of a Stoa knowledge base. Its models are downloaded at the first search.",
    sources=("mcp_servers", "retrieval", "server", "engine", "models"),
    needs=(),
    asked={
        "database": {
            "type": "string",
            "title": "Knowledge base",
            "description": "The file stoa.db of `stoa ingest`, or postgresql://USER:PASSWORD@HOST/NAME",
            "sensitive": True,
            "required": True,
        }
    },
    environment={"STOA_DATABASE_URL": "${user_config.database}"},
    server=lambda folder: knowledge.server(knowledge.Opening(_nothing), lambda context: ""),
)
BUNDLES = (FILES, DATABASE, KNOWLEDGE)


def build(bundle: Bundle, folder: Path) -> Path:
    """Writes the bundle into `folder`, which must exist. Returns its path."""
    target = folder / bundle.file
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_contents(bundle, project)):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return target


def _contents(bundle: Bundle, project: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    yield "manifest.json", json.dumps(manifest(bundle, project), indent=2, ensure_ascii=False).encode()
    yield "pyproject.toml", _pyproject(bundle, project).encode()
    for path in _paths(bundle):
        yield path.relative_to(ROOT).as_posix(), path.read_bytes()


def _paths(bundle: Bundle) -> Iterator[Path]:
    for source in bundle.sources:
        found = (ROOT / source).rglob("*") if (ROOT / source).is_dir() else [ROOT / source]
        yield from (path for path in found if path.suffix in SHIPPED and "__pycache__" not in path.parts)


def manifest(bundle: Bundle, project: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        tools = asyncio.run(bundle.server(Path(folder)).list_tools())
    arguments = ["run", "--directory", "${__dirname}", "python", "-m", f"mcp_servers.{bundle.name}", *bundle.arguments]
    return {
        "manifest_version": "0.4",
        "name": f"stoa-{bundle.name}",
        "display_name": f"Stoa: {bundle.title}",
        "version": project["version"],
        "description": bundle.description,
        "author": {"name": "Stoa"},
        "license": project["license"],
        "server": {
            "type": "uv",
            "entry_point": f"mcp_servers/{bundle.name}.py",
            "mcp_config": {"command": "uv", "args": arguments, "env": dict(bundle.environment)},
        },
        "tools": [{"name": tool.name, "description": tool.description or tool.name} for tool in tools],
        "compatibility": {"platforms": ["darwin", "linux"], "runtimes": {"python": project["requires-python"]}},
        "user_config": bundle.asked,
    }


def _pyproject(bundle: Bundle, project: Mapping[str, Any]) -> str:
    """Keeps the distribution's name, under which the server looks up its version."""
    return f"""\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{project["name"]}"
version = "{project["version"]}"
requires-python = "{project["requires-python"]}"
dependencies = {json.dumps(requirements(bundle, project), indent=2)}

[tool.setuptools.packages.find]
include = {json.dumps(sorted({f"{source.partition('/')[0]}*" for source in bundle.sources}))}
"""


def requirements(bundle: Bundle, project: Mapping[str, Any]) -> list[str]:
    """The required dependencies as in pyproject.toml. Raises ValueError if one is missing there."""
    extras = project["optional-dependencies"]
    named = {_distribution(one): one for one in (*project["dependencies"], *extras["postgres"], *extras["mysql"])}
    if unknown := set(bundle.needs) - set(named):
        raise ValueError(f"pyproject.toml names no {', '.join(unknown)}")
    return [named[name] for name in (bundle.needs or named)]


def _distribution(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return found[0].lower() if found else requirement


def _empty_database(folder: Path) -> Path:
    path = folder / "empty.db"
    path.touch()
    return path


def _nothing() -> knowledge.Base:
    raise ValueError("asked for its tools alone")


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for bundle in BUNDLES:
        made = build(bundle, folder)
        print(f"{made} {made.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
