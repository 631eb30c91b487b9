"""A cache of grammars for turns with tools: clients send the same tools with every request, and checking their schemas takes time."""

import json
from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar

from engine.api import Choice, Grammar, InvalidGrammar, JsonSchema, Regex
from server.core.cost import before_long_work, current_account
from server.core.fair_threads import FairThreads
from server.core.messages import Json, NamedTools, Tool
from server.text.grammars.union import call_or_answer
from server.text.tokenizer import ChatTokenizer
from server.text.tool_calls.api import CallConstraint, UnusableSchema
from server.text.tool_calls.grammar import lark
from server.text.tool_calls.grammar.prepare_schema import prepare_schema
from server.text.tool_calls.grammar.relax_schema import relax_schema
from server.text.tool_calls.grammar.schema import SchemaError
from server.text.tool_calls.grammar.schema_limits import check_choice, check_pattern, check_text

MAX_CHARACTERS = 4 << 20  # of the keys and values of each cache
ANY_OBJECT: Json = {"type": "object"}
P = ParamSpec("P")
T = TypeVar("T")
Checked = TypeVar("Checked")


class RecentTexts:
    """Texts by key; least recently used ones are dropped."""

    def __init__(self) -> None:
        self._texts: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._characters = 0

    def get(self, key: tuple[str, str]) -> str | None:
        if key in self._texts:
            self._texts.move_to_end(key)
        return self._texts.get(key)

    def put(self, key: tuple[str, str], value: str) -> None:
        if key not in self._texts:
            self._texts[key] = value
            self._characters += len(key[1]) + len(value)
        while self._characters > MAX_CHARACTERS:
            (_, dropped), text = self._texts.popitem(last=False)
            self._characters -= len(dropped) + len(text)


@dataclass(frozen=True)
class GrammarTexts:
    """What a server remembers of schemas, by (owner, schema), and the threads that check them."""

    workers: FairThreads = field(default_factory=lambda: FairThreads("schemas"))

    grammars: RecentTexts = field(default_factory=RecentTexts)
    checked: RecentTexts = field(default_factory=RecentTexts)
    answers: RecentTexts = field(default_factory=RecentTexts)


class GrammarCache:
    """For one model and one owner: the time that a schema takes tells nobody which ones others have sent."""

    def __init__(self, tokenizer: ChatTokenizer, texts: GrammarTexts | None = None, owner: str = "") -> None:
        self._tokenizer, self._texts, self._owner = tokenizer, texts or GrammarTexts(), owner

    async def turn_grammar(self, constraint: CallConstraint, answer: Grammar | None, lenient: Container[str]) -> str:
        """The grammar in Lark syntax, of calls or, with `answer`, of either calls or such an answer. `lenient`: names of tools that may
        take any object if their schema cannot be enforced; raises UnusableSchema for other tools. A new grammar takes about a
        millisecond per tool, in a thread."""
        key = self._owner, _key(constraint, answer)
        if (found := self._texts.grammars.get(key)) is None:
            found = await self._in_thread(self._build, constraint, answer, lenient)
            self._texts.grammars.put(key, found)
        return found

    async def answer_grammar(self, answer: Grammar | None) -> Grammar | None:
        """`answer`, without what cannot be enforced if it is a lenient schema. Raises InvalidGrammar."""
        match answer:
            case JsonSchema():
                return await self._answer_schema(answer)
            case Regex(pattern=pattern):
                _check(check_pattern, pattern)
            case Choice(options=options):
                _check(check_choice, options)
            case _:
                pass
        if answer is not None:  # which the engine compiles
            await before_long_work()
        return answer

    async def _answer_schema(self, answer: JsonSchema) -> JsonSchema:
        _check(check_text, answer.schema)
        key = self._owner, f"{answer.lenient} {answer.schema}"
        if (found := self._texts.answers.get(key)) is None:
            found = await self._in_thread(_check, _prepare_answer, answer)
            self._texts.answers.put(key, found)
        return replace(answer, schema=found)

    async def check_tools(self, tools: Sequence[Tool]) -> None:
        """Raises UnusableSchema. To be called before tools are rendered: templates do not expect invalid schemas."""
        for tool in tools:
            key = self._owner, json.dumps([tool.parameters, tool.strict], default=dict)
            if self._texts.checked.get(key) is None:
                await self._in_thread(lark.check_tool, tool)
                self._texts.checked.put(key, "")

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._texts.workers.run(self._owner or current_account(), work, *args, **kwargs)

    def _build(self, constraint: CallConstraint, answer: Grammar | None, lenient: Container[str]) -> str:
        while True:
            try:
                calls = self._tokenizer.dialect.grammar(constraint, self._tokenizer.special_token_id)
                return calls if answer is None else call_or_answer(calls, answer, constraint.thoughts, self._tokenizer.special_token_id)
            except UnusableSchema as error:
                relaxed = error.tool if error.tool in lenient else None
                tools = [replace(tool, parameters=ANY_OBJECT) if tool.name == relaxed else tool for tool in constraint.tools]
                if tools == list(constraint.tools):
                    raise
                constraint = replace(constraint, tools=tools)


def _check(check: Callable[[Checked], T], checked: Checked) -> T:
    """Raises InvalidGrammar for a SchemaError."""
    try:
        return check(checked)
    except SchemaError as error:
        raise InvalidGrammar(f"the grammar cannot be used: {error}") from error


def _prepare_answer(answer: JsonSchema) -> str:
    schema: Json | bool = json.loads(answer.schema)
    if isinstance(schema, bool):
        return answer.schema
    prepared = prepare_schema(schema, lenient=answer.lenient)
    return json.dumps(relax_schema(prepared) if answer.lenient else prepared)


def _key(constraint: CallConstraint, answer: Grammar | None) -> str:
    tools = [(tool.name, tool.parameters, tool.strict) for tool in constraint.tools]
    choice = list(constraint.tool_choice.names) if isinstance(constraint.tool_choice, NamedTools) else constraint.tool_choice
    return json.dumps([tools, choice, constraint.parallel, repr(constraint.thoughts), repr(answer)], default=dict)
