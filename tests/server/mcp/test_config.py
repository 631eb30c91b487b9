"""The operator's MCP configuration file: what is accepted, and the messages for what is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.core.tool_host import ToolHostError
from server.mcp.config.read import read_config
from server.mcp.config.server_spec import AuthorizationCode, CallLimits, ClientCredentials, Http, ServerSpec, Stdio
from server.mcp.open_host import configured_servers, data_directory
from server.runtime.settings import Settings

ENVIRONMENT = {"TOKEN": "t0ken", "EMPTY": "", "HOST": "tools.example"}


def read(tmp_path: Path, servers: Any) -> list[ServerSpec]:
    file = tmp_path / "mcp.json"
    file.write_text(servers if isinstance(servers, str) else json.dumps({"mcpServers": servers}))
    return read_config(file, ENVIRONMENT)


def test_a_process_and_a_url(tmp_path: Path) -> None:
    process = {"command": "/bin/tool", "args": ["--fast", "${HOST}"], "env": {"KEY": "${TOKEN}"}, "cwd": "/srv", "timeoutSeconds": 5}
    remote = {
        "type": "http",
        "url": "https://${HOST}/mcp",
        "headers": {"Authorization": "Bearer ${TOKEN}"},
        "trusted": True,
        "allow": ["*"],
        "tools": ["a"],
        "maxOutputBytes": 2048,
    }
    one, two = read(tmp_path, {"one": process, "two": remote})
    assert one.target == Stdio(command="/bin/tool", args=("--fast", "tools.example"), env={"KEY": "t0ken"}, cwd="/srv")
    assert (one.label, one.timeout, one.trusted, one.allow, one.tools) == ("one", 5.0, False, (), None)
    assert two.target == Http(url="https://tools.example/mcp", headers={"Authorization": "Bearer t0ken"})
    assert (two.trusted, two.allow, two.tools, two.max_output) == (True, ("*",), ("a",), 2048)
    assert "t0ken" in one.secrets and "t0ken" in two.secrets
    assert "t0ken" not in repr((one, two))


def test_tools_may_have_limits_of_their_own(tmp_path: Path) -> None:
    limits = {"slow": {"timeoutSeconds": 600}, "long": {"maxOutputBytes": 2048}, "both": {"timeoutSeconds": 1.5, "maxOutputBytes": 4096}}
    spec = read(tmp_path, {"a": {"command": "x", "timeoutSeconds": 5, "toolLimits": limits}})[0]
    assert spec.limits_of("slow") == CallLimits(timeout=600, max_output=32 * 1024)
    assert spec.limits_of("long") == CallLimits(timeout=5, max_output=2048)
    assert spec.limits_of("both") == CallLimits(timeout=1.5, max_output=4096)
    assert spec.limits_of("another") == CallLimits(timeout=5, max_output=32 * 1024)


def test_variables_may_have_defaults(tmp_path: Path) -> None:
    spec = read(tmp_path, {"a": {"command": "x", "args": ["${NOT_THERE:-word}", "${EMPTY:-word}", "$HOME", "${NOT_THERE:-}"]}})[0]
    assert isinstance(spec.target, Stdio) and spec.target.args == ("word", "", "$HOME", "")


def test_oauth(tmp_path: Path) -> None:
    machine = {"grant": "client_credentials", "clientId": "me", "clientSecret": "${TOKEN}", "issuer": "https://as.example"}
    consent = {"clientId": "me", "redirectPort": 4000, "hosts": ["as.local"]}
    one, two = read(
        tmp_path, {"one": {"url": "https://a.example", "oauth": machine}, "two": {"url": "https://b.example", "oauth": consent}}
    )
    assert isinstance(one.target, Http) and isinstance(two.target, Http)
    assert one.target.oauth == ClientCredentials(client_id="me", client_secret="t0ken", issuer="https://as.example")
    assert two.target.oauth == AuthorizationCode(client_id="me", redirect_port=4000, hosts=("as.local",))


def test_secrets_are_known_wherever_they_stand(tmp_path: Path) -> None:
    url = "https://me:hunter2@tools.example/mcp?key=query-secret&v=1"
    machine = {"grant": "client_credentials", "clientId": "me", "clientSecret": "oauth-secret", "issuer": "https://as.example"}
    remote = {"url": url, "headers": {"Authorization": "Bearer header-secret"}, "oauth": machine}
    process = {"command": "x", "args": ["--token=${TOKEN}"], "env": {"KEY": "environment-secret", "MODE": "fast"}}
    one, two = read(tmp_path, {"one": remote, "two": process})
    assert {"hunter2", "query-secret", "header-secret", "Bearer header-secret", "oauth-secret"} <= set(one.secrets)
    assert set(two.secrets) == {"t0ken", "environment-secret"}


def test_servers_can_be_switched_off(tmp_path: Path) -> None:
    assert [spec.label for spec in read(tmp_path, {"a": {"command": "x", "disabled": True}, "b": {"command": "x"}})] == ["b"]


@pytest.mark.parametrize(
    ("servers", "says"),
    [
        ("{", "is not JSON"),
        ('{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}', "one of the keys a comes twice"),
        ("[]", 'under the key "mcpServers"'),
        ('{"theme": "dark"}', 'under the key "mcpServers"'),
        ('{"mcpServers": []}', "mcpServers: it must be an object"),
        ({"a b": {"command": "x"}, "a?b": {"command": "x"}}, "mcpServers.a?b: its label would be 'a_b', which another server has"),
        ({"a b": {"command": "x"}, "a_b": {"command": "x"}}, "mcpServers.a_b: its label would be 'a_b', which another server has"),
        ({"a": {"command": "x", "env": {"K": "${input:key}"}}}, "mcpServers.a.env.K: ${input:key} is asked for by another client"),
        ({"a": {"command": "x", "timeout": "soon"}}, "mcpServers.a.timeoutSeconds: "),
        ({"a": "x"}, "mcpServers.a: it must be an object"),
        ({"a": {}}, 'mcpServers.a: it needs either "command"'),
        ({"a": {"command": "x", "url": "https://x"}}, 'mcpServers.a: it needs either "command"'),
        ({"a": {"command": "x", "comand": 1}}, "mcpServers.a.comand: there is no such setting"),
        ({"a": {"command": "x", "timeout_seconds": 1}}, "mcpServers.a.timeout_seconds: there is no such setting"),
        ({"a": {"command": ""}}, "mcpServers.a.command: "),
        ({"a": {"command": "x", "args": "y"}}, "mcpServers.a.args: "),
        ({"a": {"command": "x", "args": [[1]]}}, "mcpServers.a.args.0: "),
        ({"a": {"command": "x", "env": {"K": [1]}}}, "mcpServers.a.env.K: "),
        ({"a": {"command": "x", "env": {"K": "${NOT_THERE}"}}}, "mcpServers.a.env.K: the environment has no NOT_THERE"),
        ({"a": {"command": "x", "timeoutSeconds": 0}}, "mcpServers.a.timeoutSeconds: "),
        ({"a": {"command": "x", "toolLimits": ["y"]}}, "mcpServers.a.toolLimits: "),
        ({"a": {"command": "x", "toolLimits": {"y": 5}}}, "mcpServers.a.toolLimits.y: "),
        ({"a": {"command": "x", "toolLimits": {"y": {"timeoutSeconds": 0}}}}, "mcpServers.a.toolLimits.y.timeoutSeconds: "),
        ({"a": {"command": "x", "toolLimits": {"y": {"timeoutSeconds": "5"}}}}, "mcpServers.a.toolLimits.y.timeoutSeconds: "),
        ({"a": {"url": "https://x", "toolLimits": {"y": {"maxOutputBytes": 1}}}}, "mcpServers.a.toolLimits.y.maxOutputBytes: "),
        ({"a": {"command": "x", "toolLimits": {"y": {"seconds": 1}}}}, "mcpServers.a.toolLimits.y.seconds: there is no such setting"),
        ({"a": {"url": "file:///etc/passwd"}}, "mcpServers.a.url: "),
        ({"a": {"url": "https://[x"}}, "mcpServers.a.url: this is no URL"),
        ({"a": {"url": "https://x:99999/"}}, "mcpServers.a.url: this is no URL"),
        ({"a": {"url": "https://:80/"}}, "mcpServers.a.url: this is no URL"),
        ({"a": {"url": "https://x", "type": "websocket"}}, "mcpServers.a.type: "),
        ({"a": {"url": "https://x", "headers": {"a\nb": "c"}}}, "mcpServers.a.headers: 'a\\nb' is no header"),
        ({"a": {"url": "https://x", "headers": {"a": "c\r\nHost: y"}}}, "mcpServers.a.headers: 'a' is no header"),
        ({"a": {"url": "https://x", "oauth": {"grant": "client_credentials", "clientId": "x"}}}, "mcpServers.a.oauth.clientSecret: "),
        ({"a": {"url": "https://x", "oauth": {"secret": "x"}}}, "mcpServers.a.oauth.secret: there is no such setting"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, servers: Any, says: str) -> None:
    with pytest.raises(ToolHostError) as caught:
        read(tmp_path, servers)
    assert says in str(caught.value) and str(caught.value).startswith(str(tmp_path / "mcp.json"))


def test_no_value_is_in_a_message(tmp_path: Path) -> None:
    with pytest.raises(ToolHostError) as caught:
        read(tmp_path, {"a": {"url": "https://user:hunter2@x y", "headers": {"a": "hunter2\n"}, "more": "hunter2"}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("depth", [400, 900, 100_000])
def test_what_is_nested_too_deeply(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers": {"a": {"command": ' + "[" * depth + "]" * depth + "}}}")
    with pytest.raises(ToolHostError, match=r"mcp\.json"):
        read_config(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolHostError, match="cannot be read"):
        read_config(tmp_path / "none.json", {})


def test_our_own_servers_keep_their_names(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    for label, taken in (("files", True), ("knowledge", True), ("database", False)):
        file.write_text(json.dumps({"mcpServers": {label: {"command": "x"}}}))
        settings = Settings(mcp_config=file, mcp_files=("/srv",))
        if taken:
            with pytest.raises(ToolHostError, match=f"mcpServers.{label}: one of this server's own"):
                configured_servers(settings)
        else:
            assert [spec.label for spec in configured_servers(settings)] == ["files", "database"]


def test_pins_lie_beside_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STOA_DATABASE_URL", raising=False)
    assert data_directory(Settings()) == tmp_path / "home"
    assert data_directory(Settings(database_url=str(tmp_path / "a" / "b.db"))) == tmp_path / "a"
    assert data_directory(Settings(database_url=f"sqlite:///{tmp_path}/c/b.db")) == tmp_path / "c"
    assert data_directory(Settings(database_url="postgresql://host/name")) == tmp_path / "home"
