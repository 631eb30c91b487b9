"""Joins the grammar of tool calls and the grammar of the answer: the model chooses by how it begins."""

import json

from engine.api import Choice, Grammar, JsonObject, JsonSchema, Lark, Regex
from server.core.messages import Json
from server.text.tool_calls.grammar.json_rule import json_rule

START = "start: "


def call_or_answer(calls: str, answer: Grammar) -> str:
    """`calls`: a grammar in Lark syntax with a rule `start`. Returns Lark syntax. Raises ValueError for an answer in Lark syntax."""
    lines = ["calls: " + line.removeprefix(START) if line.startswith(START) else line for line in calls.splitlines()]
    at = next(i for i, line in enumerate(lines) if line.startswith("calls: "))
    return "\n".join([*lines[:at], "start: calls | answer", f"answer: {_answer_rule(answer)}", *lines[at:]]) + "\n"


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
        case Lark():
            raise ValueError("a grammar in Lark syntax cannot be part of another")


def _schema_rule(schema: str, *, lenient: bool) -> str:
    parsed: Json | bool = json.loads(schema)
    return json_rule(parsed if isinstance(parsed, dict) else {"allOf": [parsed]}, lenient=lenient)
