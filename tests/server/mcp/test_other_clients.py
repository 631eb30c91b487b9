"""Configuration files of other MCP clients are read as they are; what widens trust in them is named, and not obeyed."""

import logging
from pathlib import Path
from typing import Any

import pytest

from server.mcp.config.read import read_config
from server.mcp.config.server_spec import Http, ServerSpec, Stdio

CLAUDE_DESKTOP = """{
  "globalShortcut": "Ctrl+Space",
  "preferences": {"theme": "dark"},
  "mcpServers": {
    "My Server": {"command": "npx", "args": ["-y", "server", 8080], "env": {"PORT": 8080, "DEBUG": true, "NONE": null}}
  }
}"""
CLINE = """{"mcpServers": {
  "github": {"command": "gh", "args": [], "disabled": false, "autoApprove": ["search"], "timeout": 120, "transportType": "stdio"},
  "off": {"command": "x", "disabled": true, "autoApprove": ["all"]},
  "web": {"url": "https://a.example/mcp", "type": "streamableHttp", "timeout": 60}
}}"""
ROO = """{"mcpServers": {
  "weather": {"type": "streamable-http", "url": "https://a.example/mcp", "headers": {"X-Key": 5}, "alwaysAllow": ["get"],
    "disabledTools": ["drop"]},
  "old": {"type": "sse", "url": "https://a.example/events"}
}}"""
VSCODE = """{
  // of the workspace
  "inputs": [{"type": "promptString", "id": "key", "description": "API Key", "password": true}],
  "servers": {
    "fetch": {"type": "stdio", "command": "uvx", "args": ["mcp-server-fetch", "${env:HOST}"], "envFile": "${workspaceFolder:-.}/.env"},
    "remote": {"type": "http", "url": "https://a.example/mcp//x", "dev": {"watch": "*.ts"}}, /* a
    comment */
  },
}"""
CURSOR = (
    '\ufeff{"mcpServers": {"s": {"url": "https://a.example/sse"}, "t": {"url": "https://a.example/mcp", "headers": {"K": "${userHome}"}}}}'
)
WINDSURF = '{"mcpServers": {"figma": {"serverUrl": "https://a.example/mcp", "disabledTools": []}}}'
GEMINI = """{"theme": "x", "mcpServers": {"py": {"command": "python", "cwd": "./s", "timeout": 15000, "trust": true, "includeTools": ["a"]},
  "h": {"httpUrl": "https://a.example/mcp", "excludeTools": ["b"]}}}"""
SETTINGS = """{"editor.fontSize": 12, "mcp": {"servers": {"a": {"command": "x", "enabled": false},
  "b": {"transport": "streamable_http", "url": "https://b"}}}}"""


def read(folder: Path, text: str) -> dict[str, ServerSpec]:
    file = folder / "mcp.json"
    file.write_text(text, encoding="utf-8")
    return {spec.label: spec for spec in read_config(file, {"HOST": "tools", "HOME": "/home/me"})}


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        (CLAUDE_DESKTOP, {"My_Server": Stdio(command="npx", args=("-y", "server", "8080"), env={"PORT": "8080", "DEBUG": "true"})}),
        (CLINE, {"github": Stdio(command="gh"), "web": Http(url="https://a.example/mcp")}),
        (
            ROO,
            {
                "weather": Http(url="https://a.example/mcp", headers={"X-Key": "5"}),
                "old": Http(url="https://a.example/events", transport="sse"),
            },
        ),
        (VSCODE, {"fetch": Stdio(command="uvx", args=("mcp-server-fetch", "tools")), "remote": Http(url="https://a.example/mcp//x")}),
        (
            CURSOR,
            {
                "s": Http(url="https://a.example/sse", transport="sse"),
                "t": Http(url="https://a.example/mcp", headers={"K": "/home/me"}),
            },
        ),
        (WINDSURF, {"figma": Http(url="https://a.example/mcp")}),
        (GEMINI, {"py": Stdio(command="python", cwd="./s"), "h": Http(url="https://a.example/mcp")}),
        (SETTINGS, {"b": Http(url="https://b")}),
    ],
)
def test_files_of_other_clients_are_read_as_they_are(tmp_path: Path, text: str, targets: dict[str, Any]) -> None:
    assert {label: spec.target for label, spec in read(tmp_path, text).items()} == targets


def test_what_widens_trust_is_named_and_not_obeyed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        specs = [*read(tmp_path, CLINE).values(), *read(tmp_path, ROO).values(), *read(tmp_path, GEMINI).values()]
    assert all(spec.allow == () and not spec.trusted for spec in specs)
    for server, key in (("github", "autoApprove"), ("weather", "alwaysAllow"), ("py", "trust")):
        assert f"MCP server {server}: {key} is not obeyed" in caplog.text
    assert "off" not in caplog.text
    ours = read(tmp_path, '{"mcpServers": {"a": {"command": "x", "autoApprove": ["drop"], "allow": ["get"]}}}')
    assert ours["a"].allow == ("get",)  # the operator's own setting


def test_what_restricts_is_obeyed(tmp_path: Path) -> None:
    roo, gemini, cline = read(tmp_path, ROO), read(tmp_path, GEMINI), read(tmp_path, CLINE)
    assert roo["weather"].exclude == ("drop",) and gemini["h"].exclude == ("b",) and gemini["py"].tools == ("a",)
    assert (cline["github"].timeout, gemini["py"].timeout) == (120, 15)  # seconds, and milliseconds


def test_a_name_with_other_characters_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert list(read(tmp_path, '{"mcpServers": {"知识": {"command": "x"}, " b.c ": {"command": "x"}}}')) == ["server1", "b_c"]
    assert "MCP server ' b.c ': its label in requests is b_c" in caplog.text


def test_comments_are_none_within_strings(tmp_path: Path) -> None:
    text = '{"mcpServers": {"a": {"command": "x", "args": ["https://b//c", "/* d */", "e,]", "\\\\"], },}, }'
    assert read(tmp_path, text)["a"].target == Stdio(command="x", args=("https://b//c", "/* d */", "e,]", "\\"))
