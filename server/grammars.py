"""Grammars of turns with tools, remembered: clients send the same tools again and again, and each of their schemas is checked."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Container, Sequence
from dataclasses import replace

from engine.api import Grammar
from server.conversation import Json, Named, Tool
from server.dialects import lark
from server.dialects.api import Calling, UnusableSchema
from server.either import either
from server.text import Text

KEPT = 64
CHECKED = 1024  # schemas
ANY: Json = {"type": "object"}


class Grammars:
    """For one model."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._known: OrderedDict[str, str] = OrderedDict()
        self._usable: OrderedDict[str, None] = OrderedDict()

    async def source(self, calling: Calling, form: Grammar | None, loose: Container[str]) -> str:
        """In Lark syntax. With `form`: a call, or an answer of that form. `loose`: tools of which any object will do where their
        schema cannot be enforced. Raises UnusableSchema for others. A new one takes a millisecond for each tool, in a thread."""
        key = _key(calling, form)
        found = self._known.pop(key, None) or await asyncio.to_thread(self._new, calling, form, loose)
        self._known[key] = found
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return found

    async def expect(self, tools: Sequence[Tool]) -> None:
        """Raises UnusableSchema. For before templates get to see them: these trust a schema to be one."""
        for tool in tools:
            key = json.dumps(tool.parameters, default=dict)
            if key not in self._usable:
                await asyncio.to_thread(lark.expect, tool)
            self._usable[key] = None
            self._usable.move_to_end(key)
            if len(self._usable) > CHECKED:
                self._usable.popitem(last=False)

    def _new(self, calling: Calling, form: Grammar | None, loose: Container[str]) -> str:
        while True:
            try:
                calls = self._text.dialect.grammar(calling, self._text.control)
                return calls if form is None else either(calls, form)
            except UnusableSchema as error:
                easier = [replace(t, parameters=ANY) if t.name == error.tool and t.name in loose else t for t in calling.tools]
                if easier == list(calling.tools):
                    raise
                calling = replace(calling, tools=easier)


def _key(calling: Calling, form: Grammar | None) -> str:
    tools = [(tool.name, tool.parameters) for tool in calling.tools]
    choice = list(calling.choice.names) if isinstance(calling.choice, Named) else calling.choice
    return json.dumps([tools, choice, calling.parallel, calling.thinking, calling.thinks, repr(form)], default=dict)
