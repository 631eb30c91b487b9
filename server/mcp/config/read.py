"""The operator's file of MCP servers, in the form that other clients have, too:

{"mcpServers": {"LABEL": {"command": "...", "args": [...], "env": {...}, "cwd": "..."}, "OTHER": {"url": "https://...", "headers": {...}}}}

${NAME} in any string is the environment's, ${NAME:-word} has a default: secrets need not be in the file."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError

from server.core.tool_host import ToolHostError
from server.mcp.config.config import AuthorizationCode, CallLimits, ClientCredentials, Http, ServerSpec, Stdio
from server.mcp.config.file_types import CONSENT, MACHINE, ConsentEntry, CredentialsEntry, HttpEntry, StdioEntry

LABEL = re.compile(r"[A-Za-z0-9_-]{1,40}")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
DEEP = "it is nested too deeply: objects and lists within each other"
SECRET = 8  # characters; shorter values are hardly secret, and would be struck out of every message


def read_config(path: Path, environment: Mapping[str, str] = os.environ) -> list[ServerSpec]:
    """Raises HostError, which names file and field and never shows a value."""
    try:
        given = json.loads(path.read_bytes(), object_pairs_hook=unique)
    except OSError as error:
        raise ToolHostError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ToolHostError(f"{path} is not JSON: {error}") from None
    except RecursionError:
        raise ToolHostError(f"{path}: {DEEP}") from None
    try:
        return list(_servers(given, environment))
    except RecursionError:
        raise ToolHostError(f"{path}: {DEEP}") from None
    except ToolHostError as error:
        raise ToolHostError(f"{path}: {error}") from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For json.loads, which else takes the last of several. Raises ValueError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"one of the keys {', '.join(sorted(found))} comes twice")
    return found


def _servers(given: Any, environment: Mapping[str, str]) -> Iterator[ServerSpec]:
    if not isinstance(given, dict) or set(cast("dict[str, Any]", given)) != {"mcpServers"}:
        raise ToolHostError('it must be an object with the one key "mcpServers"')
    servers = cast("dict[str, Any]", given)["mcpServers"]
    if not isinstance(servers, dict):
        raise ToolHostError("mcpServers: it must be an object")
    for label, entry in cast("dict[str, Any]", servers).items():
        if not LABEL.fullmatch(label):
            raise ToolHostError(f"mcpServers.{label}: a name has 1 to 40 of A-Z, a-z, 0-9, _ and -")
        spec = _server(label, entry, environment)
        if spec is not None:
            yield spec


def _server(label: str, entry: Any, environment: Mapping[str, str]) -> ServerSpec | None:
    place, filled = f"mcpServers.{label}", list[str]()
    if not isinstance(entry, dict):
        raise ToolHostError(f"{place}: it must be an object")
    known = cast("dict[str, Any]", entry)
    if ("command" in known) == ("url" in known):
        raise ToolHostError(f'{place}: it needs either "command" (a process) or "url" (Streamable HTTP)')
    model = StdioEntry if "command" in known else HttpEntry
    try:
        read = model.model_validate(_filled(known, place, environment, filled))
    except ValidationError as error:
        raise ToolHostError("; ".join(f"{_path(place, e['loc'])}: {_said(e['type'], e['msg'])}" for e in error.errors())) from None
    return None if read.disabled else _spec(label, read, filled)


def _filled(value: Any, place: str, environment: Mapping[str, str], filled: list[str]) -> Any:
    match value:
        case str():
            return VARIABLE.sub(lambda found: _variable(found, place, environment, filled), value)
        case list():
            return [_filled(item, f"{place}.{i}", environment, filled) for i, item in enumerate(cast("list[Any]", value))]
        case dict():
            return {key: _filled(item, f"{place}.{key}", environment, filled) for key, item in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _variable(found: re.Match[str], place: str, environment: Mapping[str, str], filled: list[str]) -> str:
    value = environment.get(found[1]) if found[2] is None else environment.get(found[1], found[2])
    if value is None:
        raise ToolHostError(f"{place}: the environment has no {found[1]}; set it, or write ${{{found[1]}:-default}}")
    filled.append(value)
    return value


def _path(place: str, parts: tuple[int | str, ...]) -> str:
    return ".".join((place, *(str(part) for part in parts if part not in (CONSENT, MACHINE))))


def _said(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such setting"
    return message.removeprefix("Value error, ")


def _spec(label: str, read: StdioEntry | HttpEntry, filled: list[str]) -> ServerSpec:
    target = _process(read) if isinstance(read, StdioEntry) else _remote(read)
    return ServerSpec(
        label=label,
        target=target,
        timeout=read.timeout_seconds,
        max_output=read.max_output_bytes,
        tool_limits=_tool_limits(read),
        trusted=read.trusted,
        allow=tuple(read.allow),
        tools=None if read.tools is None else tuple(read.tools),
        secrets=tuple(dict.fromkeys([*filled, *_secrets(target)])),
    )


def _tool_limits(read: StdioEntry | HttpEntry) -> dict[str, CallLimits]:
    return {
        name: CallLimits(
            timeout=own.timeout_seconds or read.timeout_seconds,
            max_output=own.max_output_bytes or read.max_output_bytes,
        )
        for name, own in read.tool_limits.items()
    }


def _process(read: StdioEntry) -> Stdio:
    return Stdio(command=read.command, args=tuple(read.args), env=read.env, cwd=read.cwd)


def _remote(read: HttpEntry) -> Http:
    return Http(url=read.url, headers=read.headers, oauth=_oauth(read.oauth))


def _oauth(read: ConsentEntry | CredentialsEntry | None) -> AuthorizationCode | ClientCredentials | None:
    if read is None:
        return None
    if isinstance(read, ConsentEntry):
        return AuthorizationCode(
            client_id=read.client_id,
            client_secret=read.client_secret,
            metadata_url=read.metadata_url,
            redirect_port=read.redirect_port,
            hosts=tuple(read.hosts),
        )
    return ClientCredentials(
        client_id=read.client_id, client_secret=read.client_secret, issuer=read.issuer, scope=read.scope, hosts=tuple(read.hosts)
    )


def _secrets(target: Stdio | Http) -> Iterator[str]:
    if isinstance(target, Stdio):
        yield from (value for value in target.env.values() if len(value) >= SECRET)
        return
    for value in target.headers.values():
        yield from (value, value.rpartition(" ")[2])  # "Bearer ..."
    address = urlsplit(target.url)
    yield from (part for part in (address.password, address.query) if part)
    yield from (value for _, value in parse_qsl(address.query) if len(value) >= SECRET)
    if target.oauth is not None and target.oauth.client_secret:
        yield target.oauth.client_secret
