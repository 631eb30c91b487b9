"""Lark rules for JSON that fits a schema (llguidance's %json), and their validation by llguidance."""

import json

from llguidance import LLMatcher

from server.text.tool_calls.grammar.schema import Schema

WHITESPACE = r"( |\n[ \t]{0,24})?"  # bounded: a model may otherwise write white space without end


def json_rule(schema: Schema, *, lenient: bool) -> str:
    """The body of a rule for JSON that fits `schema`. `lenient`: llguidance ignores most keywords that it cannot enforce."""
    return f"%json {json.dumps({**schema, 'x-guidance': {'whitespace_pattern': WHITESPACE, 'lenient': lenient}})}"


def rule_error(body: str) -> str:
    """Why llguidance does not accept `body`, the body of a rule; "" if it does."""
    return LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(f"start: {body}"))


def rule_warnings(body: str) -> list[str]:
    """llguidance's warnings about `body`."""
    _, warnings = LLMatcher.validate_grammar_with_warnings(LLMatcher.grammar_from_lark(f"start: {body}"))
    return warnings
