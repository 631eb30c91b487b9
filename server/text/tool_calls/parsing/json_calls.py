"""Parses calls that are written as JSON: whole objects {"name": ..., "arguments": {...}}, or arguments behind a name."""

import json
from dataclasses import dataclass

from server.text.tool_calls.parsing.call_emitter import MAX_NAME_LENGTH, CallEmitter
from server.text.tool_calls.parsing.json_values import string, value
from server.text.tool_calls.parsing.scanner import NotACall, Scanner, Steps

NAME_KEY = "name"
ARGUMENTS_KEYS = ("arguments", "parameters")  # Llama 3 writes the latter
IGNORED_KEYS = ("id", "type", "function")  # some models write these too


@dataclass(slots=True)
class _CallState:
    name: str | None = None
    arguments: str | None = None  # not emitted yet: the name is not known, or they were no object
    emitted: bool = False  # the arguments are


def named_call(scanner: Scanner, emitter: CallEmitter, name: str) -> Steps[None]:
    """The arguments of a call whose name has been read: one JSON object. Raises NotACall if none comes next."""
    if (yield from scanner.peek()) != "{":
        raise NotACall
    emitter.begin(name)
    yield from value(scanner, emitter.arguments)
    emitter.done()


def calls(scanner: Scanner, emitter: CallEmitter, separator: str, *, known_only: bool = False) -> Steps[None]:
    """One or more call objects, with white space and an optional `separator` between them, and the white space behind the last."""
    yield from call(scanner, emitter, known_only=known_only)
    while (yield from _next_object(scanner, separator)):
        yield from call(scanner, emitter, known_only=known_only)


def _next_object(scanner: Scanner, separator: str) -> Steps[bool]:
    yield from scanner.whitespace()
    if (yield from scanner.take(separator)):
        yield from scanner.whitespace()
    return (yield from scanner.peek()) == "{"


def call(scanner: Scanner, emitter: CallEmitter, *, known_only: bool = False) -> Steps[None]:
    """One call object, its keys in any order. `known_only`: it counts as a call only if its first key is the name, written without
    escapes, of one of the tools."""
    state = _CallState()
    yield from scanner.expect("{")
    yield from scanner.whitespace()
    if known_only:
        state.name = yield from _known_name(scanner, emitter)
    while not (yield from scanner.take("}")):
        yield from _entry(scanner, emitter, state)
        yield from scanner.whitespace()
        if not (yield from scanner.take(",")):
            yield from scanner.expect("}")
            break
        yield from scanner.whitespace()
    if state.name is None:
        raise NotACall
    if not state.emitted:
        emitter.begin(state.name)
        emitter.arguments(state.arguments or "")
    emitter.done()


def _entry(scanner: Scanner, emitter: CallEmitter, state: _CallState) -> Steps[None]:
    key = yield from _key(scanner)
    if key == NAME_KEY and state.name is None:
        state.name = yield from _text(scanner)
    elif key in ARGUMENTS_KEYS and not state.emitted and state.arguments is None:
        yield from _arguments(scanner, emitter, state)
    elif key in IGNORED_KEYS:
        yield from value(scanner, _ignore)
    else:
        raise NotACall


def _arguments(scanner: Scanner, emitter: CallEmitter, state: _CallState) -> Steps[None]:
    if state.name is None or (yield from scanner.peek()) != "{":
        state.arguments = yield from _whole_arguments(scanner)
        return
    state.emitted = True
    emitter.begin(state.name)
    yield from value(scanner, emitter.arguments)


def _known_name(scanner: Scanner, emitter: CallEmitter) -> Steps[str]:
    yield from scanner.expect('"name"')
    yield from scanner.whitespace()
    yield from scanner.expect(":")
    yield from scanner.whitespace()
    yield from scanner.expect('"')
    name = yield from scanner.take_while(lambda char: char != '"', MAX_NAME_LENGTH)
    if name not in emitter.tools:
        raise NotACall
    yield from scanner.expect('"')
    yield from scanner.whitespace()
    if (yield from scanner.take(",")):
        yield from scanner.whitespace()
    return name


def _key(scanner: Scanner) -> Steps[str]:
    key = yield from _text(scanner)
    yield from scanner.whitespace()
    yield from scanner.expect(":")
    yield from scanner.whitespace()
    return key


def _text(scanner: Scanner) -> Steps[str]:
    parts: list[str] = []
    yield from string(scanner, parts.append)
    return json.loads("".join(parts))


def _whole_arguments(scanner: Scanner) -> Steps[str]:
    """Arguments that cannot be streamed: an object before the name, an object in a JSON string, or null (which becomes {})."""
    parts: list[str] = []
    yield from value(scanner, parts.append)
    text = "".join(parts)
    if text.startswith("{"):
        return text
    return "{}" if text == "null" else _unwrap(text)


def _unwrap(text: str) -> str:
    """The object whose JSON text is in the JSON string `text`. Raises NotACall."""
    try:
        inner = json.loads(text)
        arguments = json.loads(inner) if isinstance(inner, str) else None
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise NotACall
    return json.dumps(arguments, ensure_ascii=False)


def _ignore(_: str) -> None:
    pass
