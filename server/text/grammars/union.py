"""Joins the grammar of the answer with what else a turn may have: thoughts before it, or tool calls in its place."""

import json

from engine.api import Choice, Grammar, JsonObject, JsonSchema, Lark, Regex
from server.core.messages import Json
from server.text.reasoning.api import ThoughtRules, Thoughts
from server.text.tool_calls.grammar.builder import GrammarBuilder, TokenLookup
from server.text.tool_calls.grammar.json_rule import json_rule

START = "start: "


def behind_thoughts(answer: Grammar, thoughts: Thoughts | None, special_token_id: TokenLookup) -> Grammar:
    """`answer` as the grammar of a whole turn. `thoughts`: None of a model that does not think."""
    if thoughts is None:
        return answer
    builder = GrammarBuilder(thoughts.format.marks, special_token_id)
    rules = thoughts.format.rules(thoughts.place, builder)
    if rules == ThoughtRules():
        return answer
    return Lark(source=builder.source(_around(rules, builder.rule(_answer_rule(answer)))))


def call_or_answer(calls: str, answer: Grammar, thoughts: Thoughts | None, special_token_id: TokenLookup) -> str:
    """The model chooses by how it begins. `calls`: a grammar of a whole turn in Lark syntax with a rule `start`. Returns Lark syntax.
    Raises ValueError for an answer in Lark syntax."""
    if isinstance(answer, Lark):
        raise ValueError("a grammar in Lark syntax cannot be an alternative to calls")
    builder = GrammarBuilder(thoughts.format.marks if thoughts else (), special_token_id, prefix="answer_")
    rules = thoughts.format.rules(thoughts.place, builder) if thoughts else ThoughtRules()
    body = _around(rules, builder.rule(_answer_rule(answer)))
    lines = ["calls: " + line.removeprefix(START) if line.startswith(START) else line for line in calls.splitlines()]
    at = next(i for i, line in enumerate(lines) if line.startswith("calls: "))
    return "\n".join([*lines[:at], "start: calls | answer", f"answer: {body}", *builder.lines, *lines[at:]]) + "\n"


def _around(rules: ThoughtRules, answer: str) -> str:
    return " ".join(filter(None, (rules.thoughts, rules.opening, answer, rules.closing)))


def _answer_rule(answer: Grammar) -> str:
    match answer:
        case JsonSchema(schema=schema, lenient=lenient):
            return _schema_rule(schema, lenient=lenient)
        case JsonObject():
            return _schema_rule('{"type": "object"}', lenient=False)
        case Regex(pattern=pattern):
            return f"/{pattern.replace('/', chr(92) + '/').replace(chr(10), chr(92) + 'n')}/"
        case Choice(options=options):
            return " | ".join(json.dumps(option, ensure_ascii=False) for option in options)
        case Lark(source=source):
            return f"%lark {{\n{source}\n}}"


def _schema_rule(schema: str, *, lenient: bool) -> str:
    parsed: Json | bool = json.loads(schema)
    return json_rule(parsed if isinstance(parsed, dict) else {"allOf": [parsed]}, lenient=lenient)
