"""Reads the operator's MCP configuration file, which has the form that other MCP clients use:

{"mcpServers": {"LABEL": {"command": "...", "args": [...], "env": {...}, "cwd": "..."}, "OTHER": {"url": "https://...", "headers": {...}}}}

${NAME} (or ${env:NAME}) in any string is replaced with the environment variable, ${NAME:-word} has a default: secrets need not be in the
file. Files of other clients are read as they are: other_clients.py."""

import logging
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
from server.mcp.config.json_file import parse_json
from server.mcp.config.other_clients import find_servers, label_of, translate
from server.mcp.config.server_spec import AuthorizationCode, CallLimits, ClientCredentials, Http, ServerSpec, Stdio

LOG = logging.getLogger("stoa")
VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
PROMPT = re.compile(r"\$\{(?:input|promptString|command):[^}]*\}")  # VS Code asks its user for the value
HOME = "userHome"  # the variable of other clients for $HOME
TOO_DEEP = "it is nested too deeply: objects and lists within each other"
MIN_SECRET_CHARS = 8  # shorter values of env and query are not treated as secrets: redacting them would damage messages


def read_config(path: Path, environment: Mapping[str, str] = os.environ) -> list[ServerSpec]:
    """The servers that are not disabled. Raises ToolHostError, which names file and field and never contains a value."""
    try:
        content = parse_json(path.read_bytes())
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


def _servers(content: Any, environment: Mapping[str, str]) -> Iterator[ServerSpec]:
    names = dict[str, str]()  # by label
    for name, entry in find_servers(content).items():
        label = label_of(name, names)
        names[label] = name
        if label != name:
            LOG.warning("MCP server %r: its label in requests is %s", name, label)
        spec = _server(label, entry, environment)
        if spec is not None:
            yield spec


def _server(label: str, entry: Any, environment: Mapping[str, str]) -> ServerSpec | None:
    path, substituted = f"mcpServers.{label}", list[str]()
    if not isinstance(entry, dict):
        raise ToolHostError(f"{path}: it must be an object")
    fields, notes = translate(cast("dict[str, Any]", entry))
    if ("command" in fields) == ("url" in fields):
        raise ToolHostError(f'{path}: it needs either "command" (a process) or "url" (Streamable HTTP)')
    model = StdioEntry if "command" in fields else HttpEntry
    try:
        parsed = model.model_validate(_substitute(fields, path, environment, substituted))
    except ValidationError as error:
        raise ToolHostError("; ".join(f"{_field_path(path, e['loc'])}: {_message(e['type'], e['msg'])}" for e in error.errors())) from None
    if parsed.disabled:
        return None
    for note in notes:
        LOG.warning("MCP server %s: %s", label, note)
    return _spec(label, parsed, substituted)


def _substitute(value: Any, path: str, environment: Mapping[str, str], substituted: list[str]) -> Any:
    match value:
        case str():
            if (asked := PROMPT.search(value)) is not None:
                raise ToolHostError(f"{path}: {asked[0]} is asked for by another client; write ${{NAME}}, and set it in the environment")
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
    name = "HOME" if reference[1] == HOME else reference[1]
    value = environment.get(name) if reference[2] is None else environment.get(name, reference[2])
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
        exclude=tuple(entry.exclude),
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
    transport = "sse" if entry.type == "sse" else "streamable"
    return Http(url=entry.url, headers=entry.headers, oauth=_oauth(entry.oauth), transport=transport)


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
