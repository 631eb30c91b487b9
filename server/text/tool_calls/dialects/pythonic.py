"""Llama 4 and LFM2: [name(key=value, ...), ...] in Python's syntax; LFM2 writes the list between two tokens."""

from dataclasses import replace

from server.core.messages import Tool
from server.text.tool_calls.api import UnusableSchema
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.builder import GrammarBuilder, literal
from server.text.tool_calls.grammar.lark import CallLayout, check_separate_arguments, schema_rule
from server.text.tool_calls.grammar.schema import BOOLEAN_ONLY, Parameter, allowed_types, definitions, has_known_parameters, parameters
from server.text.tool_calls.parsing import python_values
from server.text.tool_calls.parsing.call_emitter import MAX_NAME_LENGTH, NAME, CallEmitter
from server.text.tool_calls.parsing.keyword_arguments import KeywordArguments
from server.text.tool_calls.parsing.scanner import NotACall, Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import Syntax

LLAMA_TOKENS = ("<|python_start|>", "<|python_end|>")
LFM2_TOKENS = ("<|tool_call_start|>", "<|tool_call_end|>")


def _read(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    """Without an opening token only a list of calls of known tools counts as calls: any other list may be an answer."""
    end = ""
    for open_token, close_token in (LLAMA_TOKENS, LFM2_TOKENS):
        if (yield from scanner.take(open_token)):
            end = close_token
    yield from scanner.whitespace()
    yield from scanner.expect("[")
    while True:
        yield from scanner.whitespace()
        yield from _call(scanner, emitter, known_only=not end)
        yield from scanner.whitespace()
        if not (yield from scanner.take(",")):
            break
    yield from scanner.expect("]")
    if end:
        yield from scanner.whitespace()
        yield from scanner.take(end)


def _call(scanner: Scanner, emitter: CallEmitter, *, known_only: bool) -> Steps[None]:
    name = yield from scanner.take_while(lambda char: NAME.fullmatch(char) is not None, MAX_NAME_LENGTH)
    yield from scanner.whitespace()
    yield from scanner.expect("(")
    if known_only and name not in emitter.tools:
        raise NotACall
    emitter.begin(name)
    arguments, tool = KeywordArguments(emitter), emitter.tools.get(name)
    yield from scanner.whitespace()
    while not (yield from scanner.take(")")):
        arguments.key((yield from _key(scanner, arguments, tool)))
        yield from scanner.whitespace()
        yield from python_values.value(scanner, emitter.arguments)
        yield from scanner.whitespace()
        if not (yield from scanner.take(",")):
            yield from scanner.expect(")")
            break
        yield from scanner.whitespace()
    arguments.end()


def _key(scanner: Scanner, arguments: KeywordArguments, tool: Tool | None) -> Steps[str]:
    """The name of the next argument; the scanner is then at its value. A positional one gets its name from the tool's parameters."""
    char = yield from scanner.peek()
    if char and char in "'\"[{" and tool is not None:
        names = [parameter.name for parameter in parameters(tool)]
        key = names[len(arguments.names)] if len(arguments.names) < len(names) else ""
    else:
        key = yield from scanner.take_while(lambda char: char.isalnum() or char in "_-", MAX_NAME_LENGTH)
        yield from scanner.whitespace()
        yield from scanner.expect("=")
    if not key:
        raise NotACall
    return key


def _call_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    """name(arguments): in the order of the parameters, optional ones may be missing."""
    check_separate_arguments(tool)
    if not has_known_parameters(tool):
        return f"{literal(f'{tool.name}(')} {_any_arguments(tool, grammar)} {literal(')')}"
    writable = [p for p in parameters(tool) if p.name.isidentifier() or p.required or tool.strict]
    rules = [(parameter, grammar.rule(_argument(tool, parameter, grammar))) for parameter in writable]
    sequences: list[str] = []  # one for each parameter that may come first
    for at, (parameter, rule) in enumerate(rules):
        sequences.append(" ".join([rule, *(_following(p, r) for p, r in rules[at + 1 :])]))
        if parameter.required:
            break
    else:
        sequences.append("")
    optional = "" if all(sequences) else "?"
    inner = f"({' | '.join(s for s in sequences if s)}){optional}" if any(sequences) else ""
    return f"{literal(f'{tool.name}(')} {inner} {literal(')')}"


def _any_arguments(tool: Tool, grammar: GrammarBuilder) -> str:
    """For a tool whose parameters are not known."""
    name = grammar.terminal(r"/[A-Za-z_][A-Za-z0-9_]{0,63}/")
    argument = grammar.rule(f"{name} {literal('=')} {grammar.rule(schema_rule(tool, {}))}")
    return grammar.rule(f"({argument} ({literal(', ')} {argument})*)?")


def _following(parameter: Parameter, rule: str) -> str:
    return f"{literal(', ')} {rule}" if parameter.required else f"({literal(', ')} {rule})?"


def _argument(tool: Tool, parameter: Parameter, grammar: GrammarBuilder) -> str:
    if not parameter.name.isidentifier():
        raise UnusableSchema(tool.name, f"this model cannot write the parameter {parameter.name!r}: it is no name in Python")
    begin, schema = literal(f"{parameter.name}="), parameter.schema
    if allowed_types(schema, tool.parameters) == BOOLEAN_ONLY and not {"const", "enum"} & schema.keys():
        return f"{begin} ({literal('True')} | {literal('False')})"
    return f"{begin} {grammar.rule(schema_rule(tool, {**schema, **definitions(tool.parameters)}))}"


def _start_pattern(name: str) -> str:
    return rf"\[\s*{name}\s*\("


PYTHONIC = ToolCallFormat(
    name="pythonic",
    markers=LLAMA_TOKENS,
    syntax=Syntax(read=_read, openers=(LLAMA_TOKENS[0], LFM2_TOKENS[0]), first=("[",)),
    layout=CallLayout(trigger="", open="[", separator=", ", close="]"),
    call_rule=_call_rule,
    start_pattern=_start_pattern,
)
LFM2 = replace(
    PYTHONIC,
    name="lfm2",
    markers=LFM2_TOKENS,
    layout=CallLayout(trigger=LFM2_TOKENS[0], open="[", separator=", ", close=f"]{LFM2_TOKENS[1]}"),
    start_pattern=None,
)
