"""Parses Python literals while they arrive and passes them on as JSON."""

import json
import math
import re

from server.text.tool_calls.parsing.json_values import MAX_DEPTH, MAX_NUMBER_LENGTH, NUMBER
from server.text.tool_calls.parsing.keyword_arguments import escape_json
from server.text.tool_calls.parsing.scanner import Emit, NotACall, Scanner, Steps

LITERALS = {"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0", "\n": "", **{c: c for c in "\\'\"/"}}
HEX_DIGITS = {"x": 2, "u": 4, "U": 8}  # hexadecimal digits
CLOSERS = {"[": "]", "(": ")", "{": "}"}
HEX = re.compile(r"[0-9a-fA-F]+")


def value(scanner: Scanner, emit: Emit, depth: int = 0) -> Steps[None]:
    """Any literal; tuples become arrays. JSON is accepted too. Raises NotACall."""
    char = yield from scanner.peek()
    if char and char in "'\"":
        yield from string(scanner, emit)
    elif char and char in CLOSERS and depth < MAX_DEPTH:
        yield from _container(scanner, emit, depth + 1)
    else:
        yield from _scalar(scanner, emit)


def parse_literal(text: str) -> str | None:
    """The literal `text` as JSON; None if it is not one literal."""
    scanner, parts = Scanner(), list[str]()
    scanner.text, scanner.ended = text, True
    try:
        for _ in value(scanner, parts.append):
            pass
    except NotACall:
        return None
    return "".join(parts) if scanner.pos == len(text) else None


def string(scanner: Scanner, emit: Emit) -> Steps[None]:
    quote = (yield from scanner.peek(3))[:3]
    quote = quote if quote in ('"""', "'''") else quote[:1]
    yield from scanner.expect(quote)
    emit('"')
    plain = re.compile(rf"[^\\{quote[0]}]+")
    while not (yield from scanner.take(quote)):
        if not (char := (yield from scanner.peek())):
            raise NotACall
        if found := plain.match(scanner.text, scanner.pos):
            scanner.pos = found.end()
            emit(escape_json(found[0]))
        elif char == "\\":
            emit(escape_json((yield from _escape(scanner))))
        else:  # a quote within a triple-quoted string
            scanner.pos += 1
            emit(escape_json(char))
    emit('"')


def _escape(scanner: Scanner) -> Steps[str]:
    scanner.pos += 1
    char = yield from scanner.peek()
    if not char:
        raise NotACall
    scanner.pos += 1
    if (digits := HEX_DIGITS.get(char)) is None:
        return ESCAPES.get(char, f"\\{char}")
    first = yield from _digits(scanner, digits)
    if 0xD800 <= first < 0xDC00 and (yield from scanner.take("\\u")):
        second = yield from _digits(scanner, 4)
        if 0xDC00 <= second < 0xE000:
            return chr(0x10000 + ((first - 0xD800) << 10) + second - 0xDC00)
        return "\ufffd" + chr(second)
    return chr(first) if first < 0x110000 else "\ufffd"


def _digits(scanner: Scanner, count: int) -> Steps[int]:
    digits = yield from scanner.peek(count)
    if len(digits) < count or not HEX.fullmatch(digits):
        raise NotACall
    scanner.pos += count
    return int(digits, 16)


def _container(scanner: Scanner, emit: Emit, depth: int) -> Steps[None]:
    """A list, tuple or dictionary."""
    opener = yield from scanner.peek()
    scanner.pos += 1
    is_dict, separator = opener == "{", ""
    emit("{" if is_dict else "[")
    yield from scanner.whitespace()
    while not (yield from scanner.take(CLOSERS[opener])):
        emit(separator)
        if is_dict:
            yield from _key(scanner, emit)
        yield from value(scanner, emit, depth)
        yield from scanner.whitespace()
        separator = ", "
        if not (yield from scanner.take(",")):
            yield from scanner.expect(CLOSERS[opener])
            break
        yield from scanner.whitespace()
    emit("}" if is_dict else "]")


def _key(scanner: Scanner, emit: Emit) -> Steps[None]:
    if (yield from scanner.peek()) not in ("'", '"'):
        raise NotACall
    yield from string(scanner, emit)
    yield from scanner.whitespace()
    yield from scanner.expect(":")
    emit(": ")
    yield from scanner.whitespace()


def _scalar(scanner: Scanner, emit: Emit) -> Steps[None]:
    word = yield from scanner.take_while(lambda char: char.isalnum() or char in "+-._", MAX_NUMBER_LENGTH)
    if word in LITERALS or NUMBER.fullmatch(word):
        emit(LITERALS.get(word, word))
        return
    try:
        number = float(word)
    except ValueError as error:
        raise NotACall from error
    if not math.isfinite(number):
        raise NotACall
    emit(json.dumps(number))
