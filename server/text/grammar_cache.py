"""Grammars of turns with tools, remembered: clients send the same tools again and again, and each of their schemas is checked."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Container, Sequence
from dataclasses import replace
from typing import TypeVar

from engine.api import Grammar, JsonSchema
from server.core.messages import Json, NamedTools, Tool
from server.text.grammar_union import call_or_answer
from server.text.tokenizer import ChatTokenizer
from server.text.tool_calls.api import CallConstraint, UnusableSchema
from server.text.tool_calls.grammar import lark
from server.text.tool_calls.grammar.relax_schema import relaxed

KEPT = 64
CHECKED = 1024  # schemas
ANY: Json = {"type": "object"}
T = TypeVar("T")


class GrammarCache:
    """For one model."""

    def __init__(self, text: ChatTokenizer) -> None:
        self._text = text
        self._known: OrderedDict[str, str] = OrderedDict()
        self._usable: OrderedDict[str, None] = OrderedDict()
        self._forms: OrderedDict[str, str] = OrderedDict()

    async def source(self, calling: CallConstraint, form: Grammar | None, loose: Container[str]) -> str:
        """In Lark syntax. With `form`: a call, or an answer of that form. `loose`: tools of which any object will do where their
        schema cannot be enforced. Raises UnusableSchema for others. A new one takes a millisecond for each tool, in a thread."""
        key = _key(calling, form)
        found = self._known.get(key) or await asyncio.to_thread(self._new, calling, form, loose)
        return _keep(self._known, key, found, KEPT)

    async def form(self, form: Grammar | None) -> Grammar | None:
        """An answer's form as it can be enforced, where it need not be enforced as a whole."""
        if not (isinstance(form, JsonSchema) and form.lenient):
            return form
        found = self._forms.get(form.schema) or await asyncio.to_thread(_relaxed, form.schema)
        return replace(form, schema=_keep(self._forms, form.schema, found, KEPT))

    async def expect(self, tools: Sequence[Tool]) -> None:
        """Raises UnusableSchema. For before templates get to see them: these trust a schema to be one."""
        for tool in tools:
            key = json.dumps([tool.parameters, tool.strict], default=dict)
            if key not in self._usable:
                await asyncio.to_thread(lark.expect, tool)
            _keep(self._usable, key, None, CHECKED)

    def _new(self, calling: CallConstraint, form: Grammar | None, loose: Container[str]) -> str:
        while True:
            try:
                calls = self._text.dialect.grammar(calling, self._text.control_id)
                return calls if form is None else call_or_answer(calls, form)
            except UnusableSchema as error:
                easier = [replace(t, parameters=ANY) if t.name == error.tool and t.name in loose else t for t in calling.tools]
                if easier == list(calling.tools):
                    raise
                calling = replace(calling, tools=easier)


def _keep(kept: OrderedDict[str, T], key: str, value: T, most: int) -> T:
    """`value`, which is remembered now until `most` others have been."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
    return value


def _relaxed(schema: str) -> str:
    return json.dumps(relaxed(json.loads(schema)))


def _key(calling: CallConstraint, form: Grammar | None) -> str:
    tools = [(tool.name, tool.parameters, tool.strict) for tool in calling.tools]
    choice = list(calling.tool_choice.names) if isinstance(calling.tool_choice, NamedTools) else calling.tool_choice
    return json.dumps([tools, choice, calling.parallel, calling.in_reasoning, calling.has_reasoning, repr(form)], default=dict)
