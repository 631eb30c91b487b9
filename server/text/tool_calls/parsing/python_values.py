"""Python's literals, told as JSON while they arrive."""

import json
import math
import re

from server.text.tool_calls.parsing.json_values import DEEPEST, LONGEST, NUMBER
from server.text.tool_calls.parsing.keyword_arguments import escaped
from server.text.tool_calls.parsing.scanner import Emit, NotACall, Scanner, Steps

WORDS = {"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0", "\n": "", **{c: c for c in "\\'\"/"}}
CODES = {"x": 2, "u": 4, "U": 8}  # hexadecimal digits
CLOSING = {"[": "]", "(": ")", "{": "}"}
HEX = re.compile(r"[0-9a-fA-F]+")


def value(scan: Scanner, emit: Emit, depth: int = 0) -> Steps[None]:
    """Any literal; tuples are lists. JSON is read as well. Raises NoCall."""
    char = yield from scan.peek()
    if char and char in "'\"":
        yield from string(scan, emit)
    elif char and char in CLOSING and depth < DEEPEST:
        yield from _several(scan, emit, depth + 1)
    else:
        yield from _word(scan, emit)


def read(text: str) -> str | None:
    """The literal that `text` is, as JSON; None: it is none."""
    scan, parts = Scanner(), list[str]()
    scan.text, scan.ended = text, True
    try:
        for _ in value(scan, parts.append):
            pass
    except NotACall:
        return None
    return "".join(parts) if scan.at == len(text) else None


def string(scan: Scanner, emit: Emit) -> Steps[None]:
    quote = (yield from scan.peek(3))[:3]
    quote = quote if quote in ('"""', "'''") else quote[:1]
    yield from scan.expect(quote)
    emit('"')
    plain = re.compile(rf"[^\\{quote[0]}]+")
    while not (yield from scan.take(quote)):
        if not (char := (yield from scan.peek())):
            raise NotACall
        if found := plain.match(scan.text, scan.at):
            scan.at = found.end()
            emit(escaped(found[0]))
        elif char == "\\":
            emit(escaped((yield from _escape(scan))))
        else:  # a quote within three of them
            scan.at += 1
            emit(escaped(char))
    emit('"')


def _escape(scan: Scanner) -> Steps[str]:
    scan.at += 1
    char = yield from scan.peek()
    if not char:
        raise NotACall
    scan.at += 1
    if (digits := CODES.get(char)) is None:
        return ESCAPES.get(char, f"\\{char}")
    first = yield from _digits(scan, digits)
    if 0xD800 <= first < 0xDC00 and (yield from scan.take("\\u")):
        second = yield from _digits(scan, 4)
        if 0xDC00 <= second < 0xE000:
            return chr(0x10000 + ((first - 0xD800) << 10) + second - 0xDC00)
        return "\ufffd" + chr(second)
    return chr(first) if first < 0x110000 else "\ufffd"


def _digits(scan: Scanner, count: int) -> Steps[int]:
    digits = yield from scan.peek(count)
    if len(digits) < count or not HEX.fullmatch(digits):
        raise NotACall
    scan.at += count
    return int(digits, 16)


def _several(scan: Scanner, emit: Emit, depth: int) -> Steps[None]:
    """A list, tuple or dictionary."""
    begun = yield from scan.peek()
    scan.at += 1
    keyed, separator = begun == "{", ""
    emit("{" if keyed else "[")
    yield from scan.white()
    while not (yield from scan.take(CLOSING[begun])):
        emit(separator)
        if keyed:
            yield from _key(scan, emit)
        yield from value(scan, emit, depth)
        yield from scan.white()
        separator = ", "
        if not (yield from scan.take(",")):
            yield from scan.expect(CLOSING[begun])
            break
        yield from scan.white()
    emit("}" if keyed else "]")


def _key(scan: Scanner, emit: Emit) -> Steps[None]:
    if (yield from scan.peek()) not in ("'", '"'):
        raise NotACall
    yield from string(scan, emit)
    yield from scan.white()
    yield from scan.expect(":")
    emit(": ")
    yield from scan.white()


def _word(scan: Scanner, emit: Emit) -> Steps[None]:
    word = yield from scan.while_in(lambda char: char.isalnum() or char in "+-._", LONGEST)
    if word in WORDS or NUMBER.fullmatch(word):
        emit(WORDS.get(word, word))
        return
    try:
        number = float(word)
    except ValueError as error:
        raise NotACall from error
    if not math.isfinite(number):
        raise NotACall
    emit(json.dumps(number))
