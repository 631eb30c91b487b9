"""Command line options made from the fields of Settings."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, cast

import typer
from pydantic import ValidationError

from server.cli.errors import print_error
from server.runtime.settings import Settings

REPEATABLE = {  # fields with several values -> option that is given once per value
    "api_keys": "--api-key",
    "cors_origins": "--cors-origin",
    "image_hosts": "--image-host",
    "model": "--model",
    "model_alias": "--model-alias",
    "model_kv_memory": "--model-kv-memory",
    "upstream": "--upstream",
    "mcp_files": "--mcp-files",
    "mcp_database": "--mcp-database",
}


def with_settings(run: Callable[[Settings], None]) -> Callable[..., None]:
    """A typer command whose options are the fields of Settings. Options that are not given are read from where Settings reads them."""

    def command(**options: Any) -> None:
        run(read_settings({name: value for name, value in options.items() if value not in (None, [])}))

    command.__doc__, command.__name__ = run.__doc__, run.__name__
    options = [_option(name) for name in Settings.model_fields]
    command.__signature__ = inspect.Signature(options)  # pyright: ignore[reportFunctionMemberAccess] (typer reads it)
    command.__annotations__ = {option.name: option.annotation for option in options}
    return command


def read_settings(values: dict[str, Any]) -> Settings:
    """Exits with status 2 and a message where the settings are invalid."""
    try:
        return Settings(**values)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors())
        print_error("; ".join(problems))
        raise typer.Exit(2) from None


def _option(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    flag = REPEATABLE.get(name, f"--{name.replace('_', '-')}")
    repeatable, either = name in REPEATABLE, field.annotation == (bool | None)  # which can be switched off, too
    switch = either or field.annotation is bool
    flag = f"{flag}/--no-{flag.removeprefix('--')}" if either else flag
    kind = list[str] | None if repeatable else bool | None if switch else str | None
    option = typer.Option(
        flag, help=f"{field.description}{_default_text(field.default)}", show_default=False, metavar=None if switch else "VALUE"
    )
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])


def _default_text(value: object) -> str:
    shown = ", ".join(cast(tuple[str, ...], value)) if isinstance(value, tuple) else value
    return "" if shown in (None, "", False) else f"; default {shown}"
