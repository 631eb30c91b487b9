"""The options of `stoa mcp config | list | approve | login`."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.mcp.config import McpClient, OwnServer
from server.cli.settings_options import read_settings
from server.runtime.settings import Settings

mcp_app = typer.Typer(name="mcp", no_args_is_help=True, help="MCP servers: those that the chat may call, and our own for other clients.")

ServerName = Annotated[str, typer.Argument(help="As in the configuration")]
ConfigFile = Annotated[Path | None, typer.Option(help="File with mcpServers [default: STOA_MCP_CONFIG]")]


def _settings(config: Path | None) -> Settings:
    return read_settings({"mcp_config": config} if config else {})


@mcp_app.command("config")
def config_command(
    client: Annotated[McpClient, typer.Option(help="Whose configuration")] = McpClient.CLAUDE_DESKTOP,
    server: Annotated[list[OwnServer] | None, typer.Option(help="Which of our servers (repeatable) [default: knowledge]")] = None,
    folder: Annotated[list[str] | None, typer.Option(help="For files [default: --mcp-files of stoa serve]")] = None,
    database: Annotated[list[str] | None, typer.Option(metavar="[NAME=]URL", help="For database [default: its --mcp-database]")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write it into the client's own file; the rest of that stays")] = False,
    file: Annotated[Path | None, typer.Option(help="With --write: which file [default: where the client looks]")] = None,
) -> None:
    """Print what another MCP client needs to know to start our servers, or write it where the client reads it."""
    from server.cli.mcp.config import print_config
    from server.cli.mcp.config_write import write_config

    values = {name: tuple(value) for name, value in (("mcp_files", folder), ("mcp_database", database)) if value}
    servers, settings = tuple(server or (OwnServer.KNOWLEDGE,)), read_settings(values)
    if file and not write:
        raise typer.BadParameter("it says where to write: say --write, too", param_hint="--file")
    raise typer.Exit(write_config(client, servers, settings, file) if write else print_config(client, servers, settings))


@mcp_app.command("list")
def list_command(
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one list")] = False,
) -> None:
    """Connect to the configured MCP servers and show their tools."""
    from server.cli.mcp.admin import list_servers, run_admin

    settings = _settings(config)
    raise typer.Exit(run_admin(lambda: list_servers(settings, as_json)))


@mcp_app.command("approve")
def approve_command(name: ServerName, config: ConfigFile = None) -> None:
    """Accept the tools of an MCP server as they are now: what changes after that is kept from the model until you do it again."""
    from server.cli.mcp.admin import approve_tools, run_admin

    settings = _settings(config)
    raise typer.Exit(run_admin(lambda: approve_tools(settings, name)))


@mcp_app.command("login")
def login_command(name: ServerName, config: ConfigFile = None) -> None:
    """Agree in a browser that an MCP server with OAuth may be used."""
    from server.cli.mcp.admin import login, run_admin

    settings = _settings(config)
    raise typer.Exit(run_admin(lambda: login(settings, name)))
