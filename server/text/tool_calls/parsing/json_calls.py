"""Calls that are written as JSON objects: {"name": ..., "arguments": {...}}."""

import json
from dataclasses import dataclass

from server.text.tool_calls.parsing.json_values import string, value
from server.text.tool_calls.parsing.scanner import NotACall, Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import CallEmitter

NAME = "name"
ARGUMENTS = ("arguments", "parameters")  # Llama 3 writes the latter
BESIDE = ("id", "type", "function")  # what some models write beside them


@dataclass(slots=True)
class _Call:
    """What has been read of one."""

    name: str | None = None
    held: str | None = None  # arguments that cannot be told before the name is known
    told: bool = False  # the arguments are


def call(scan: Scanner, voice: CallEmitter, *, known: bool = False) -> Steps[None]:
    """One call, its keys in any order. `known`: it is one only if the name comes first, plainly spelled, and is a tool's."""
    found = _Call()
    yield from scan.expect("{")
    yield from scan.white()
    if known:
        found.name = yield from _known(scan, voice)
    while not (yield from scan.take("}")):
        yield from _entry(scan, voice, found)
        yield from scan.white()
        if not (yield from scan.take(",")):
            yield from scan.expect("}")
            break
        yield from scan.white()
    if found.name is None:
        raise NotACall
    if not found.told:
        voice.begin(found.name)
        voice.arguments(found.held or "")
    voice.done()


def _entry(scan: Scanner, voice: CallEmitter, found: _Call) -> Steps[None]:
    key = yield from _key(scan)
    if key == NAME and found.name is None:
        found.name = yield from _text(scan)
    elif key in ARGUMENTS and not found.told and found.held is None:
        yield from _arguments(scan, voice, found)
    elif key in BESIDE:
        yield from value(scan, _nobody)
    else:
        raise NotACall


def _arguments(scan: Scanner, voice: CallEmitter, found: _Call) -> Steps[None]:
    if found.name is None or (yield from scan.peek()) != "{":
        found.held = yield from _held(scan)
        return
    found.told = True
    voice.begin(found.name)
    yield from value(scan, voice.arguments)


def _known(scan: Scanner, voice: CallEmitter) -> Steps[str]:
    yield from scan.expect('"name"')
    yield from scan.white()
    yield from scan.expect(":")
    yield from scan.white()
    yield from scan.expect('"')
    name = yield from scan.while_in(lambda char: char != '"', 128)
    if name not in voice.known:
        raise NotACall
    yield from scan.expect('"')
    yield from scan.white()
    if (yield from scan.take(",")):
        yield from scan.white()
    return name


def _key(scan: Scanner) -> Steps[str]:
    key = yield from _text(scan)
    yield from scan.white()
    yield from scan.expect(":")
    yield from scan.white()
    return key


def _text(scan: Scanner) -> Steps[str]:
    parts: list[str] = []
    yield from string(scan, parts.append)
    return json.loads("".join(parts))


def _held(scan: Scanner) -> Steps[str]:
    """Arguments that come before the name, or are no object: JSON text of one in a string, or nothing at all."""
    parts: list[str] = []
    yield from value(scan, parts.append)
    text = "".join(parts)
    if text.startswith("{"):
        return text
    return "{}" if text == "null" else _unwrapped(text)


def _unwrapped(text: str) -> str:
    try:
        inner = json.loads(text)
        found = json.loads(inner) if isinstance(inner, str) else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise NotACall
    return json.dumps(found, ensure_ascii=False)


def _nobody(_: str) -> None:
    """What a model writes beside a call is not told."""
