"""`stoa mcp config --write`: adds our servers to the configuration file of another MCP client, and keeps all else in it."""

import json
import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from server.cli.errors import print_error
from server.cli.mcp.config import McpClient, MissingOption, OwnServer, config
from server.core.atomic_file import replace_file
from server.mcp.config.json_file import reject_duplicate_keys
from server.runtime.settings import Settings

EntryChange = Literal["added", "replaced", "unchanged"]
INDENTATION = re.compile(rb'\{\s*?\n([ \t]+)"')


class Unwritable(ValueError):
    """The message tells the user why the file was not changed."""


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """`backup`: a copy of the previous file; None: there was none, or nothing has changed."""

    path: Path
    entries: Mapping[str, EntryChange]
    backup: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _ConfigFile:
    """The file before the change; a missing or empty one counts as an empty object."""

    path: Path  # with links resolved
    data: bytes | None  # None: there is no file
    content: dict[str, Any]


def write_config(client: McpClient, servers: tuple[OwnServer, ...], settings: Settings, file: Path | None) -> int:
    """Prints what has changed. Returns the exit status."""
    try:
        sections = config(client, servers, settings)
        change = write(_expect_folder(file) if file else _make_folder(default_file(client)), sections)
    except (MissingOption, Unwritable) as error:
        print_error(error)
        return 2
    for name, entry_change in change.entries.items():
        print(f"{entry_change:9} {name}")
    print(f"in {change.path}" + (f"; as it was before: {change.backup}" if change.backup else ""))
    return 0


def _expect_folder(file: Path) -> Path:
    """A file that the user names must be in an existing folder, so that a typing error makes none. Raises Unwritable."""
    if not (folder := file.expanduser().absolute().parent).is_dir():
        raise Unwritable(f"--file {file}: there is no folder {folder}; make it first, or mend the path")
    return file


def _make_folder(file: Path) -> Path:
    """The folder of the client's default file is created if need be. Raises Unwritable."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unwritable(f"{file.parent} cannot be made: {error.strerror or error}") from None
    return file


def default_file(client: McpClient, platform: str = sys.platform, environment: Mapping[str, str] = os.environ) -> Path:
    """The file that `client` reads: for Claude Code and VS Code in the project, which is the working directory."""
    match client:
        case McpClient.CLAUDE_DESKTOP:
            return _application_data(platform, environment) / "Claude" / "claude_desktop_config.json"
        case McpClient.CLAUDE_CODE:
            return Path.cwd() / ".mcp.json"
        case McpClient.CURSOR:
            return Path.home() / ".cursor" / "mcp.json"
        case McpClient.VSCODE:
            return Path.cwd() / ".vscode" / "mcp.json"


def write(path: Path, sections: Mapping[str, Mapping[str, Any]]) -> FileChange:
    """`sections`: as returned by `config`. The write is atomic and durable; an unchanged file is not written. Raises Unwritable."""
    try:
        old = _read(path.expanduser().resolve())
        new = _merge(old, sections)
        entries: dict[str, EntryChange] = {
            name: _entry_change(old, section, name, entry) for section, own in sections.items() for name, entry in own.items()
        }
        if new == old.content:
            return FileChange(path=old.path, entries=entries)
        data = _encode(old, new)
        backup = _back_up(old)
        replace_file(old.path, data, _mode(old))
    except OSError as error:
        raise Unwritable(f"{path} cannot be read or written: {error.strerror or error}") from None
    return FileChange(path=old.path, entries=entries, backup=backup)


def _application_data(platform: str, environment: Mapping[str, str]) -> Path:
    """The platform's folder for the settings of applications."""
    match platform:
        case "darwin":
            return Path.home() / "Library" / "Application Support"
        case "win32":
            return Path(environment.get("APPDATA") or Path.home() / "AppData" / "Roaming")
        case _:
            return Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _read(path: Path) -> _ConfigFile:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return _ConfigFile(path=path, data=None, content={})
    try:
        content: Any = {} if not data else json.loads(data, object_pairs_hook=reject_duplicate_keys, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise Unwritable(f"{path} is not JSON ({error}) and is left as it is: mend it, or add what is printed without --write") from None
    if not isinstance(content, dict):
        raise Unwritable(f"{path} is left as it is: it is not an object")
    return _ConfigFile(path=path, data=data, content=cast("dict[str, Any]", content))


def _reject_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _merge(old: _ConfigFile, sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {**old.content, **{section: {**_section(old, section), **entries} for section, entries in sections.items()}}


def _section(old: _ConfigFile, name: str) -> dict[str, Any]:
    section = old.content.get(name, {})
    if not isinstance(section, dict):
        raise Unwritable(f"{old.path} is left as it is: {name} is not an object")
    return cast("dict[str, Any]", section)


def _entry_change(old: _ConfigFile, section: str, name: str, entry: Any) -> EntryChange:
    entries = _section(old, section)
    return "added" if name not in entries else "unchanged" if entries[name] == entry else "replaced"


def _encode(old: _ConfigFile, new: Mapping[str, Any]) -> bytes:
    """JSON with the indentation of the old file. Raises Unwritable."""
    found = INDENTATION.match(old.data or b"")
    try:
        return (json.dumps(new, indent=found[1].decode() if found else 2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except ValueError as error:  # infinite numbers, lone surrogates
        raise Unwritable(f"{old.path} is left as it is: what is in it could not be written again ({error})") from None


def _back_up(old: _ConfigFile) -> Path | None:
    """Copies the file to the first free NAME.bak, NAME.bak1 ...; returns the path of the copy, None where there is no file."""
    if old.data is None:
        return None
    for number in range(1000):
        backup = old.path.with_name(f"{old.path.name}.bak{number or ''}")
        try:
            descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _mode(old))
        except FileExistsError:
            continue
        with open(descriptor, "wb") as file:
            file.write(old.data)
            file.flush()
            os.fsync(file.fileno())
        return backup
    raise Unwritable(f"{old.path} is left as it is: there are a thousand backups beside it already")


def _mode(old: _ConfigFile) -> int:
    """The permissions of the old file; a new one is for the user alone, as entries may contain passwords."""
    return 0o600 if old.data is None else stat.S_IMODE(old.path.stat().st_mode)
