"""`stoa mcp config --write`: what is in the client's file stays, whatever it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.cli.main import cli
from server.cli.mcp.config import McpClient
from server.cli.mcp.config_write import Unwritable, default_file, write

ENTRY = {"command": "python", "args": ["-m", "mcp_servers.files", "/srv"], "env": {}}
MADE = {"mcpServers": {"stoa-files": ENTRY}}
OLD: dict[str, Any] = {
    "$schema": "https://example.org/schema.json",
    "mcpServers": {"git": {"command": "uvx", "args": ["mcp-server-git"]}, "stoa-files": {"command": "old"}},
    "größe": [1, 2.5, None, {"z": True, "a": False}],
}


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["mcp", "config", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_a_new_file(tmp_path: Path) -> None:
    file = tmp_path / "a" / "mcp.json"
    file.parent.mkdir()
    change = write(file, MADE)
    assert json.loads(file.read_text()) == MADE
    assert (change.entries, change.backup) == ({"stoa-files": "added"}, None)
    assert file.stat().st_mode & 0o777 == 0o600  # passwords of databases may be in it
    assert list(file.parent.iterdir()) == [file]


def test_all_else_stays_and_is_kept_beside(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps(OLD, indent="\t", ensure_ascii=False))
    file.chmod(0o640)
    before = file.read_bytes()
    change = write(file, {"mcpServers": {"stoa-files": ENTRY, "stoa-knowledge": ENTRY}})
    assert change.entries == {"stoa-files": "replaced", "stoa-knowledge": "added"}
    after = json.loads(file.read_text())
    assert after == {**OLD, "mcpServers": {**OLD["mcpServers"], "stoa-files": ENTRY, "stoa-knowledge": ENTRY}}
    assert list(after) == list(OLD) and list(after["mcpServers"]) == ["git", "stoa-files", "stoa-knowledge"]
    assert file.read_text().startswith('{\n\t"$schema"') and "größe" in file.read_text()
    backup = tmp_path / "mcp.json.bak"
    assert change.backup == backup and backup.read_bytes() == before
    assert all(path.stat().st_mode & 0o777 == 0o640 for path in (file, backup))


def test_again_is_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    write(file, MADE)
    file.write_text(json.dumps(json.loads(file.read_text())))  # however it is written
    before = file.stat()
    change = write(file, MADE)
    assert (change.entries, change.backup) == ({"stoa-files": "unchanged"}, None)
    assert file.stat().st_mtime_ns == before.st_mtime_ns and list(tmp_path.iterdir()) == [file]


def test_no_backup_takes_the_place_of_another(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    for number in range(3):
        write(file, {"mcpServers": {"stoa-files": {**ENTRY, "number": number}}})
    numbers = [json.loads((tmp_path / f"mcp.json.bak{end}").read_text())["mcpServers"]["stoa-files"]["number"] for end in ("", "1")]
    assert numbers == [0, 1]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "mcp.json").symlink_to("real.json")
    assert write(tmp_path / "mcp.json", MADE).path == tmp_path / "real.json"
    assert (tmp_path / "mcp.json").is_symlink() and json.loads((tmp_path / "real.json").read_text()) == MADE


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b" ", "is not JSON"),
        (b'{"mcpServers": {}', "is not JSON"),
        (b'// comment\n{"mcpServers": {}}', "is not JSON"),
        (b'{"a": 1, "a": 2}', "comes twice"),
        (b'{"a": NaN}', "JSON has no NaN"),
        (b'{"a": 1e999}', "could not be written again"),
        (b'{"a": "\\ud800"}', "could not be written again"),
        (b"\xff\xfe\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "it is not an object"),
        (b'{"mcpServers": []}', "mcpServers is not an object"),
    ],
)
def test_what_cannot_be_kept_is_not_touched(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "mcp.json"
    file.write_bytes(content)
    with pytest.raises(Unwritable, match=says) as caught:
        write(file, MADE)
    assert str(file) in str(caught.value)
    assert file.read_bytes() == content and list(tmp_path.iterdir()) == [file]


def test_what_the_system_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "mcp.json").mkdir()
    with pytest.raises(Unwritable, match="Is a directory"):
        write(tmp_path / "mcp.json", MADE)


@pytest.mark.parametrize(
    ("client", "platform", "environment", "where"),
    [
        (McpClient.CLAUDE_DESKTOP, "linux", {}, "home/.config/Claude/claude_desktop_config.json"),
        (McpClient.CLAUDE_DESKTOP, "linux", {"XDG_CONFIG_HOME": "/x"}, "/x/Claude/claude_desktop_config.json"),
        (McpClient.CLAUDE_DESKTOP, "darwin", {}, "home/Library/Application Support/Claude/claude_desktop_config.json"),
        (McpClient.CLAUDE_DESKTOP, "win32", {}, "home/AppData/Roaming/Claude/claude_desktop_config.json"),
        (McpClient.CLAUDE_DESKTOP, "win32", {"APPDATA": "/y"}, "/y/Claude/claude_desktop_config.json"),
        (McpClient.CLAUDE_CODE, "linux", {}, "project/.mcp.json"),
        (McpClient.CURSOR, "darwin", {}, "home/.cursor/mcp.json"),
        (McpClient.VSCODE, "linux", {}, "project/.vscode/mcp.json"),
    ],
)
def test_where_clients_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: McpClient, platform: str, environment: dict[str, str], where: str
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_file(client, platform, environment) == tmp_path / where


@pytest.mark.parametrize(("client", "section"), [("claude-code", "mcpServers"), ("vscode", "servers")])
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str, section: str) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / (".mcp.json" if client == "claude-code" else ".vscode/mcp.json")
    options = ("--client", client, "--server", "files", "--folder", ".", "--write")
    code, printed, _ = run(*options)
    assert (code, printed) == (0, f"added     stoa-files\nin {file}\n")
    entry = json.loads(file.read_text())[section]["stoa-files"]
    assert entry["args"] == ["-m", "mcp_servers.files", str(tmp_path)] and entry["type"] == "stdio"
    assert run(*options)[1] == f"unchanged stoa-files\nin {file}\n"
    code, printed, _ = run(*options, "--folder", "/")
    assert (code, printed) == (0, f"replaced  stoa-files\nin {file}; as it was before: {file}.bak\n")


def test_folders_are_made_only_where_the_client_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    options = ("--server", "files", "--folder", str(tmp_path), "--write")
    code, printed, note = run(*options, "--file", str(tmp_path / "mistyped" / "dir" / "x.json"))
    assert (code, printed) == (2, "") and f"there is no folder {tmp_path / 'mistyped' / 'dir'}" in note
    assert not list(tmp_path.iterdir())
    assert run("--client", "cursor", *options)[0] == 0 and (tmp_path / "home" / ".cursor" / "mcp.json").is_file()
    assert f'"{tmp_path}:rw"' in run("--server", "files", "--folder", f"{tmp_path}:rw")[1]
    code, printed, note = run("--server", "files", "--folder", str(tmp_path / "nothing"))
    assert (code, printed) == (2, "") and f"there is no folder {tmp_path / 'nothing'}" in note


def test_a_file_without_a_byte_is_an_empty_one(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.touch()
    assert write(file, MADE).entries == {"stoa-files": "added"} and json.loads(file.read_text()) == MADE


def test_the_command_with_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    options = ("--server", "files", "--folder", str(tmp_path), "--file", str(file))
    code, printed, note = run(*options)
    assert code == 2 and not printed and "--write" in note and not file.exists()
    assert run(*options, "--write")[0] == 0 and "stoa-files" in json.loads(file.read_text())["mcpServers"]
    file.write_text("{")
    code, printed, note = run(*options, "--write")
    assert (code, printed) == (2, "") and f"stoa: {file} is not JSON" in note and file.read_text() == "{"
