"""Tool calls or an answer that has a form, as one grammar: the model chooses by how it begins."""

import json

from engine.api import Choice, Grammar, JsonObject, JsonSchema, Lark, Regex
from server.core.messages import Json
from server.text.tool_calls.grammar.json_rule import json_rule

START = "start: "


def call_or_answer(calls: str, answer: Grammar) -> str:
    """`calls`: a grammar in Lark syntax whose first rule is `start`."""
    lines = ["called: " + line.removeprefix(START) if line.startswith(START) else line for line in calls.splitlines()]
    at = next(i for i, line in enumerate(lines) if line.startswith("called: "))
    return "\n".join([*lines[:at], "start: called | formed", f"formed: {_answer_rule(answer)}", *lines[at:]]) + "\n"


def _answer_rule(form: Grammar) -> str:
    match form:
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
    given: Json | bool = json.loads(schema)
    return json_rule(given if isinstance(given, dict) else {"allOf": [given]}, lenient=lenient)
