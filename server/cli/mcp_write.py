"""`stoa mcp config --write`: our entries in the configuration file of another MCP client; all else in it stays as it is."""

import json
import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from server.cli.mcp_config import Client, Missing, Server, config
from server.core.atomic_file import replace
from server.mcp.config.read import unique
from server.runtime.settings import Settings

Done = Literal["added", "replaced", "unchanged"]
INDENTED = re.compile(rb'\{\s*?\n([ \t]+)"')


class Unwritable(ValueError):
    """Why a file is left as it is. The message is meant for the operator."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """`backup`: where the file as it was is; None: there was none, or nothing has changed."""

    path: Path
    entries: Mapping[str, Done]
    backup: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Old:
    """A file as it is; one that is not there, or has no byte in it, is an object without anything."""

    path: Path  # no link
    data: bytes | None
    content: dict[str, Any]


def run(client: Client, servers: tuple[Server, ...], settings: Settings, file: Path | None) -> int:
    """Says on standard output what has changed."""
    try:
        made = config(client, servers, settings)
        change = write(_existing(file) if file else _made(default_file(client)), made)
    except (Missing, Unwritable) as error:
        print(f"stoa: {error}", file=sys.stderr)
        return 2
    for name, done in change.entries.items():
        print(f"{done:9} {name}")
    print(f"in {change.path}" + (f"; as it was before: {change.backup}" if change.backup else ""))
    return 0


def _existing(file: Path) -> Path:
    """Where the user says. A folder that is not there is a slip. Raises Unwritable."""
    if not (folder := file.expanduser().absolute().parent).is_dir():
        raise Unwritable(f"--file {file}: there is no folder {folder}; make it first, or mend the path")
    return file


def _made(file: Path) -> Path:
    """Where the client looks, which it may not have done yet. Raises Unwritable."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unwritable(f"{file.parent} cannot be made: {error.strerror or error}") from None
    return file


def default_file(client: Client, platform: str = sys.platform, environment: Mapping[str, str] = os.environ) -> Path:
    """Where `client` looks: Claude Code and VS Code in the project, which is the working directory."""
    match client:
        case Client.CLAUDE_DESKTOP:
            return _programs(platform, environment) / "Claude" / "claude_desktop_config.json"
        case Client.CLAUDE_CODE:
            return Path.cwd() / ".mcp.json"
        case Client.CURSOR:
            return Path.home() / ".cursor" / "mcp.json"
        case Client.VSCODE:
            return Path.cwd() / ".vscode" / "mcp.json"


def write(path: Path, made: Mapping[str, Mapping[str, Any]]) -> Change:
    """`made`: as `config` gives it. Once it returns, the file is on the disk; nothing is written where nothing is new. Raises
    Unwritable."""
    try:
        old = _read(path.expanduser().resolve())
        new = _merged(old, made)
        entries: dict[str, Done] = {name: _done(old, section, name, entry) for section, own in made.items() for name, entry in own.items()}
        if new == old.content:
            return Change(path=old.path, entries=entries)
        data = _text(old, new)
        backup = _kept(old)
        replace(old.path, data, _mode(old))
    except OSError as error:
        raise Unwritable(f"{path} cannot be read or written: {error.strerror or error}") from None
    return Change(path=old.path, entries=entries, backup=backup)


def _programs(platform: str, environment: Mapping[str, str]) -> Path:
    """Where programs keep what their user has set."""
    match platform:
        case "darwin":
            return Path.home() / "Library" / "Application Support"
        case "win32":
            return Path(environment.get("APPDATA") or Path.home() / "AppData" / "Roaming")
        case _:
            return Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _read(path: Path) -> _Old:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return _Old(path=path, data=None, content={})
    try:
        content: Any = {} if not data else json.loads(data, object_pairs_hook=unique, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise Unwritable(f"{path} is not JSON ({error}) and is left as it is: mend it, or add what is printed without --write") from None
    if not isinstance(content, dict):
        raise Unwritable(f"{path} is left as it is: it is not an object")
    return _Old(path=path, data=data, content=cast("dict[str, Any]", content))


def _refused(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _merged(old: _Old, made: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {**old.content, **{section: {**_section(old, section), **entries} for section, entries in made.items()}}


def _section(old: _Old, name: str) -> dict[str, Any]:
    there = old.content.get(name, {})
    if not isinstance(there, dict):
        raise Unwritable(f"{old.path} is left as it is: {name} is not an object")
    return cast("dict[str, Any]", there)


def _done(old: _Old, section: str, name: str, entry: Any) -> Done:
    there = _section(old, section)
    return "added" if name not in there else "unchanged" if there[name] == entry else "replaced"


def _text(old: _Old, new: Mapping[str, Any]) -> bytes:
    """Indented as it was."""
    found = INDENTED.match(old.data or b"")
    try:
        return (json.dumps(new, indent=found[1].decode() if found else 2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except ValueError as error:  # numbers beyond all, halves of characters
        raise Unwritable(f"{old.path} is left as it is: what is in it could not be written again ({error})") from None


def _kept(old: _Old) -> Path | None:
    """A copy beside it, under a name that is free."""
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


def _mode(old: _Old) -> int:
    """For the user alone where it is new: entries may hold passwords."""
    return 0o600 if old.data is None else stat.S_IMODE(old.path.stat().st_mode)
