"""Reads the operator's MCP configuration file, which has the form that other MCP clients use:

{"mcpServers": {"LABEL": {"command": "...", "args": [...], "env": {...}, "cwd": "..."}, "OTHER": {"url": "https://...", "headers": {...}}}}

${NAME} in any string is replaced with the environment variable, ${NAME:-word} has a default: secrets need not be in the file."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError

from server.core.tool_host import ToolHostError
from server.mcp.config.file_types import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    AuthorizationCodeEntry,
    ClientCredentialsEntry,
    HttpEntry,
    StdioEntry,
)
from server.mcp.config.server_spec import AuthorizationCode, CallLimits, ClientCredentials, Http, ServerSpec, Stdio

LABEL = re.compile(r"[A-Za-z0-9_-]{1,40}")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
TOO_DEEP = "it is nested too deeply: objects and lists within each other"
MIN_SECRET_CHARS = 8  # shorter values of env and query are not treated as secrets: redacting them would damage messages


def read_config(path: Path, environment: Mapping[str, str] = os.environ) -> list[ServerSpec]:
    """The servers that are not disabled. Raises ToolHostError, which names file and field and never contains a value."""
    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=reject_duplicate_keys)
    except OSError as error:
        raise ToolHostError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ToolHostError(f"{path} is not JSON: {error}") from None
    except RecursionError:
        raise ToolHostError(f"{path}: {TOO_DEEP}") from None
    try:
        return list(_servers(content, environment))
    except RecursionError:
        raise ToolHostError(f"{path}: {TOO_DEEP}") from None
    except ToolHostError as error:
        raise ToolHostError(f"{path}: {error}") from None


def reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object_pairs_hook for json.loads, which otherwise keeps the last of equal keys. Raises ValueError."""
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError(f"one of the keys {', '.join(sorted(result))} comes twice")
    return result


def _servers(content: Any, environment: Mapping[str, str]) -> Iterator[ServerSpec]:
    if not isinstance(content, dict) or set(cast("dict[str, Any]", content)) != {"mcpServers"}:
        raise ToolHostError('it must be an object with the one key "mcpServers"')
    servers = cast("dict[str, Any]", content)["mcpServers"]
    if not isinstance(servers, dict):
        raise ToolHostError("mcpServers: it must be an object")
    for label, entry in cast("dict[str, Any]", servers).items():
        if not LABEL.fullmatch(label):
            raise ToolHostError(f"mcpServers.{label}: a name has 1 to 40 of A-Z, a-z, 0-9, _ and -")
        spec = _server(label, entry, environment)
        if spec is not None:
            yield spec


def _server(label: str, entry: Any, environment: Mapping[str, str]) -> ServerSpec | None:
    path, substituted = f"mcpServers.{label}", list[str]()
    if not isinstance(entry, dict):
        raise ToolHostError(f"{path}: it must be an object")
    fields = cast("dict[str, Any]", entry)
    if ("command" in fields) == ("url" in fields):
        raise ToolHostError(f'{path}: it needs either "command" (a process) or "url" (Streamable HTTP)')
    model = StdioEntry if "command" in fields else HttpEntry
    try:
        parsed = model.model_validate(_substitute(fields, path, environment, substituted))
    except ValidationError as error:
        raise ToolHostError("; ".join(f"{_field_path(path, e['loc'])}: {_message(e['type'], e['msg'])}" for e in error.errors())) from None
    return None if parsed.disabled else _spec(label, parsed, substituted)


def _substitute(value: Any, path: str, environment: Mapping[str, str], substituted: list[str]) -> Any:
    match value:
        case str():
            return VARIABLE.sub(lambda reference: _variable(reference, path, environment, substituted), value)
        case list():
            return [_substitute(item, f"{path}.{i}", environment, substituted) for i, item in enumerate(cast("list[Any]", value))]
        case dict():
            return {
                key: _substitute(item, f"{path}.{key}", environment, substituted) for key, item in cast("dict[str, Any]", value).items()
            }
        case _:
            return value


def _variable(reference: re.Match[str], path: str, environment: Mapping[str, str], substituted: list[str]) -> str:
    value = environment.get(reference[1]) if reference[2] is None else environment.get(reference[1], reference[2])
    if value is None:
        raise ToolHostError(f"{path}: the environment has no {reference[1]}; set it, or write ${{{reference[1]}:-default}}")
    substituted.append(value)
    return value


def _field_path(path: str, parts: tuple[int | str, ...]) -> str:
    """Without the discriminator tags that pydantic inserts."""
    return ".".join((path, *(str(part) for part in parts if part not in (AUTHORIZATION_CODE, CLIENT_CREDENTIALS))))


def _message(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such setting"
    return message.removeprefix("Value error, ")


def _spec(label: str, entry: StdioEntry | HttpEntry, substituted: list[str]) -> ServerSpec:
    target = _stdio(entry) if isinstance(entry, StdioEntry) else _http(entry)
    return ServerSpec(
        label=label,
        target=target,
        timeout=entry.timeout_seconds,
        max_output=entry.max_output_bytes,
        tool_limits=_tool_limits(entry),
        trusted=entry.trusted,
        allow=tuple(entry.allow),
        tools=None if entry.tools is None else tuple(entry.tools),
        secrets=tuple(dict.fromkeys([*substituted, *_secrets(target)])),
    )


def _tool_limits(entry: StdioEntry | HttpEntry) -> dict[str, CallLimits]:
    return {
        name: CallLimits(
            timeout=limits.timeout_seconds or entry.timeout_seconds,
            max_output=limits.max_output_bytes or entry.max_output_bytes,
        )
        for name, limits in entry.tool_limits.items()
    }


def _stdio(entry: StdioEntry) -> Stdio:
    return Stdio(command=entry.command, args=tuple(entry.args), env=entry.env, cwd=entry.cwd)


def _http(entry: HttpEntry) -> Http:
    return Http(url=entry.url, headers=entry.headers, oauth=_oauth(entry.oauth))


def _oauth(entry: AuthorizationCodeEntry | ClientCredentialsEntry | None) -> AuthorizationCode | ClientCredentials | None:
    if entry is None:
        return None
    if isinstance(entry, AuthorizationCodeEntry):
        return AuthorizationCode(
            client_id=entry.client_id,
            client_secret=entry.client_secret,
            metadata_url=entry.metadata_url,
            redirect_port=entry.redirect_port,
            hosts=tuple(entry.hosts),
        )
    return ClientCredentials(
        client_id=entry.client_id, client_secret=entry.client_secret, issuer=entry.issuer, scope=entry.scope, hosts=tuple(entry.hosts)
    )


def _secrets(target: Stdio | Http) -> Iterator[str]:
    """The values that are probably secret: env, headers, password and query of the URL, the OAuth client secret."""
    if isinstance(target, Stdio):
        yield from (value for value in target.env.values() if len(value) >= MIN_SECRET_CHARS)
        return
    for value in target.headers.values():
        yield from (value, value.rpartition(" ")[2])  # "Bearer ..."
    address = urlsplit(target.url)
    yield from (part for part in (address.password, address.query) if part)
    yield from (value for _, value in parse_qsl(address.query) if len(value) >= MIN_SECRET_CHARS)
    if target.oauth is not None and target.oauth.client_secret:
        yield target.oauth.client_secret
