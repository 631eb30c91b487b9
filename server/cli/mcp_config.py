"""`stoa mcp config`: what other MCP clients need to know to start our own servers."""

import json
import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import mcp_servers
from server.runtime.settings import Settings

ROOT = Path(mcp_servers.__file__).absolute().parents[1]
KEPT = (  # what the knowledge base is opened with
    "embedding_model",
    "embedding_dtype",
    "query_prompt",
    "document_prompt",
    "rerank_model",
    "default_store",
    "hnsw_above",
)


class Client(StrEnum):
    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VSCODE = "vscode"


class Server(StrEnum):
    FILES = "files"
    DATABASE = "database"
    KNOWLEDGE = "knowledge"


PLACES = {
    Client.CLAUDE_DESKTOP: "claude_desktop_config.json (Settings, Developer, Edit Config)",
    Client.CLAUDE_CODE: ".mcp.json in the project's folder",
    Client.CURSOR: ".cursor/mcp.json in the project's folder, or ~/.cursor/mcp.json",
    Client.VSCODE: ".vscode/mcp.json in the project's folder",
}


class Missing(ValueError):
    """What has to be said for a server to be configured."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A process on stdio."""

    args: tuple[str, ...]
    env: Mapping[str, str]


def config(client: Client, servers: tuple[Server, ...], settings: Settings) -> dict[str, Any]:
    """The file that `client` reads; paths in it are absolute, for it starts the servers wherever it likes. Raises Missing."""
    entries = {f"stoa-{server}": _written(client, _entry(server, settings)) for server in servers}
    return {"servers" if client is Client.VSCODE else "mcpServers": entries}


def run(client: Client, servers: tuple[Server, ...], settings: Settings) -> int:
    """The configuration on standard output, where it belongs on standard error."""
    try:
        made = config(client, servers, settings)
    except Missing as error:
        print(f"stoa: {error}", file=sys.stderr)
        return 2
    print(json.dumps(made, indent=2, ensure_ascii=False))
    print(f"This belongs into {PLACES[client]}.", file=sys.stderr)
    return 0


def _written(client: Client, entry: Entry) -> dict[str, Any]:
    kind = {} if client in (Client.CLAUDE_DESKTOP, Client.CURSOR) else {"type": "stdio"}
    return {**kind, "command": sys.executable, "args": list(entry.args), "env": {**entry.env, **_path()}}


def _path() -> dict[str, str]:
    """Where we are not installed, Python has to be told where we are."""
    installed = {Path(sysconfig.get_path(name)).absolute() for name in ("purelib", "platlib")}
    return {} if ROOT in installed else {"PYTHONPATH": str(ROOT)}


def _entry(server: Server, settings: Settings) -> Entry:
    match server:
        case Server.FILES:
            return _files(settings)
        case Server.DATABASE:
            return _database(settings)
        case Server.KNOWLEDGE:
            return _knowledge(settings)


def _files(settings: Settings) -> Entry:
    if not settings.mcp_files:
        raise Missing("files: which folders? Say --folder DIR (or STOA_MCP_FILES)")
    return Entry(args=("-m", "mcp_servers.files", *map(_folder, settings.mcp_files)), env={})


def _folder(folder: str) -> str:
    found = Path(folder).expanduser().absolute()
    plain = Path(str(found).removesuffix(":ro").removesuffix(":rw"))
    if not (found.is_dir() or plain.is_dir()):
        raise Missing(f"files: there is no folder {plain}; make it first, or mend the path (--folder, or STOA_MCP_FILES)")
    return str(found)


def _database(settings: Settings) -> Entry:
    """URLs go into the environment: passwords in them would be in every list of processes."""
    if not settings.mcp_database:
        raise Missing("database: which ones? Say --database [NAME=]URL (or STOA_MCP_DATABASE)")
    env, args = dict[str, str](), list[str]()
    for number, source in enumerate(settings.mcp_database, 1):
        name, separator, url = source.partition("=") if _named(source) else ("", "", source)
        if url.startswith("env:"):  # whoever says so sees to it that the client has the variable
            args.append(source)
            continue
        env[f"STOA_DATABASE_{number}"] = _absolute(url)
        args.append(f"{name}{separator}env:STOA_DATABASE_{number}")
    return Entry(args=("-m", "mcp_servers.database", *args), env=env)


def _named(source: str) -> bool:
    return source.partition("=")[0].replace("_", "").replace("-", "").isalnum() and "=" in source


def _absolute(url: str) -> str:
    """Of SQLite, a file may be relative."""
    path = url.removeprefix("sqlite:///")
    return url if "://" in path else str(Path(path).expanduser().absolute())


def _knowledge(settings: Settings) -> Entry:
    given = {name: getattr(settings, name) for name in KEPT}
    env = {f"STOA_{name.upper()}": str(value) for name, value in given.items() if value != Settings.model_fields[name].default}
    if settings.database_url is not None:
        env["STOA_DATABASE_URL"] = _absolute(settings.database_url)
    if home := os.environ.get("STOA_HOME"):
        env["STOA_HOME"] = str(Path(home).expanduser().absolute())
    return Entry(args=("-m", "mcp_servers.knowledge"), env=env)
