"""Renders a checkpoint's chat template as transformers does, in a sandbox: templates come with checkpoints and are not trusted."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

TemplateMessage = Mapping[str, Any]
PROBE = "stoa-probe"
ESCAPABLE = re.compile("[^\x00-\x7f\U000f0000-\U000ffffd]")


class TemplateRefused(ValueError):
    """The template does not accept this conversation, for example because of the order of its roles."""


class GenerationBlock(Extension):
    """`{% generation %}` marks the assistant's text for training; here only its body is rendered."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's declaration)

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    def __init__(self, source: str, constants: Mapping[str, str]) -> None:
        """`constants`: bos_token, eos_token and the like."""
        environment = _environment()
        self.source = source
        self.variables = frozenset(find_undeclared_variables(environment.parse(source)))
        self._constants = dict(constants)
        self._compiled = environment.from_string(source)

    def render(self, messages: Sequence[TemplateMessage], variables: Mapping[str, Any]) -> str:
        """The prompt for the assistant's next message. Raises TemplateRefused."""
        return self._render(messages, {"tools": self._no_tools, **variables})

    def _render(self, messages: Sequence[TemplateMessage], variables: Mapping[str, Any]) -> str:
        context = {**self._constants, "documents": None, "add_generation_prompt": True, **variables}
        try:
            return self._compiled.render(messages=[dict(m) for m in messages], **context)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise TemplateRefused(str(error)) from error

    @cached_property
    def _no_tools(self) -> list[Any] | None:
        """What `tools` is without tools: None as in transformers, unless the template takes only a list."""
        try:
            self._render([{"role": "user", "content": PROBE}], {"tools": None})
        except TemplateRefused:
            return []
        return None

    @cached_property
    def shows_names(self) -> bool:
        """Whether the name of a user's message appears in the prompt."""
        try:
            return PROBE in self.render([{"role": "user", "content": "", "name": PROBE}], {})
        except TemplateRefused:
            return False


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson  # pyright: ignore[reportUnknownMemberType] (jinja2 declares no types for either)
    environment.globals |= {"raise_exception": _raise, "strftime_now": _strftime_now}  # pyright: ignore[reportUnknownMemberType]
    return environment


def _raise(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
    """Replaces Jinja's own filter, which escapes HTML. Escape characters (server/text/control_tokens.py) stay as they are even with
    `ensure_ascii`, so that they can be removed later."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)
    return ESCAPABLE.sub(lambda found: json.dumps(found[0])[1:-1], text) if ensure_ascii else text
