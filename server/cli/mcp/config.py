"""`stoa mcp config`: the configuration with which other MCP clients start our own servers."""

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
from server.cli.errors import print_error
from server.runtime.settings import Settings

ROOT = Path(mcp_servers.__file__).absolute().parents[1]
KNOWLEDGE_BASE_SETTINGS = (  # settings that the knowledge base is opened with
    "embedding_model",
    "embedding_dtype",
    "query_prompt",
    "document_prompt",
    "rerank_model",
    "default_store",
    "hnsw_above",
)


class McpClient(StrEnum):
    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VSCODE = "vscode"


class OwnServer(StrEnum):
    FILES = "files"
    DATABASE = "database"
    KNOWLEDGE = "knowledge"


FILE_HINTS = {
    McpClient.CLAUDE_DESKTOP: "claude_desktop_config.json (Settings, Developer, Edit Config)",
    McpClient.CLAUDE_CODE: ".mcp.json in the project's folder",
    McpClient.CURSOR: ".cursor/mcp.json in the project's folder, or ~/.cursor/mcp.json",
    McpClient.VSCODE: ".vscode/mcp.json in the project's folder",
}


class MissingOption(ValueError):
    """The message says which option a server needs."""


@dataclass(frozen=True, kw_only=True)
class StdioCommand:
    """How to start a server that speaks stdio: arguments of Python, and environment."""

    args: tuple[str, ...]
    env: Mapping[str, str]


def config(client: McpClient, servers: tuple[OwnServer, ...], settings: Settings) -> dict[str, Any]:
    """The content of the client's configuration file, with absolute paths: its working directory is unknown. Raises MissingOption."""
    entries = {f"stoa-{server}": _client_entry(client, _command(server, settings)) for server in servers}
    return {"servers" if client is McpClient.VSCODE else "mcpServers": entries}


def print_config(client: McpClient, servers: tuple[OwnServer, ...], settings: Settings) -> int:
    """Prints the configuration on standard output, and on standard error where it belongs. Returns the exit status."""
    try:
        content = config(client, servers, settings)
    except MissingOption as error:
        print_error(error)
        return 2
    print(json.dumps(content, indent=2, ensure_ascii=False))
    print(f"This belongs into {FILE_HINTS[client]}.", file=sys.stderr)
    return 0


def _client_entry(client: McpClient, command: StdioCommand) -> dict[str, Any]:
    kind = {} if client in (McpClient.CLAUDE_DESKTOP, McpClient.CURSOR) else {"type": "stdio"}
    return {**kind, "command": sys.executable, "args": list(command.args), "env": {**command.env, **_python_path()}}


def _python_path() -> dict[str, str]:
    """PYTHONPATH, where this program runs from a source tree and is not installed."""
    installed = {Path(sysconfig.get_path(name)).absolute() for name in ("purelib", "platlib")}
    return {} if ROOT in installed else {"PYTHONPATH": str(ROOT)}


def _command(server: OwnServer, settings: Settings) -> StdioCommand:
    match server:
        case OwnServer.FILES:
            return _files(settings)
        case OwnServer.DATABASE:
            return _database(settings)
        case OwnServer.KNOWLEDGE:
            return _knowledge(settings)


def _files(settings: Settings) -> StdioCommand:
    if not settings.mcp_files:
        raise MissingOption("files: which folders? Say --folder DIR (or STOA_MCP_FILES)")
    return StdioCommand(args=("-m", "mcp_servers.files", *map(_folder, settings.mcp_files)), env={})


def _folder(folder: str) -> str:
    path = Path(folder).expanduser().absolute()
    without_mode = Path(str(path).removesuffix(":ro").removesuffix(":rw"))
    if not (path.is_dir() or without_mode.is_dir()):
        raise MissingOption(f"files: there is no folder {without_mode}; make it first, or mend the path (--folder, or STOA_MCP_FILES)")
    return str(path)


def _database(settings: Settings) -> StdioCommand:
    """URLs go into the environment: as arguments, passwords in them would be visible in process lists."""
    if not settings.mcp_database:
        raise MissingOption("database: which ones? Say --database [NAME=]URL (or STOA_MCP_DATABASE)")
    env, args = dict[str, str](), list[str]()
    for number, source in enumerate(settings.mcp_database, 1):
        name, separator, url = source.partition("=") if _has_name(source) else ("", "", source)
        if url.startswith("env:"):  # the user makes sure that the client has the variable
            args.append(source)
            continue
        env[f"STOA_DATABASE_{number}"] = _absolute_url(url)
        args.append(f"{name}{separator}env:STOA_DATABASE_{number}")
    return StdioCommand(args=("-m", "mcp_servers.database", *args), env=env)


def _has_name(source: str) -> bool:
    return source.partition("=")[0].replace("_", "").replace("-", "").isalnum() and "=" in source


def _absolute_url(url: str) -> str:
    """SQLite files may be given as relative paths."""
    path = url.removeprefix("sqlite:///")
    return url if "://" in path else str(Path(path).expanduser().absolute())


def _knowledge(settings: Settings) -> StdioCommand:
    values = {name: getattr(settings, name) for name in KNOWLEDGE_BASE_SETTINGS}
    env = {f"STOA_{name.upper()}": str(value) for name, value in values.items() if value != Settings.model_fields[name].default}
    if settings.database_url is not None:
        env["STOA_DATABASE_URL"] = _absolute_url(settings.database_url)
    if home := os.environ.get("STOA_HOME"):
        env["STOA_HOME"] = str(Path(home).expanduser().absolute())
    return StdioCommand(args=("-m", "mcp_servers.knowledge"), env=env)
