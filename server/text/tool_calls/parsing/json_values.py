"""Parses JSON values while they arrive and passes them on in pieces, which together are always a prefix of valid JSON (RFC 8259)."""

import re

from server.text.tool_calls.parsing.scanner import Emit, NotACall, Scanner, Steps

UNESCAPED = re.compile(r'[^"\\\x00-\x1f]+')
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
HIGH_SURROGATE, LOW_SURROGATE = re.compile(r"[dD][89abAB][0-9a-fA-F]{2}"), re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
HEX = re.compile(r"[0-9a-fA-F]{4}")
SHORT_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
LITERALS = frozenset({"true", "false", "null"})
MAX_DEPTH = 64  # nested containers
MAX_NUMBER_LENGTH = 4096  # characters of a number


def value(scanner: Scanner, emit: Emit) -> Steps[None]:
    """Any one value. Raises NotACall at the first character that is not valid JSON there."""
    closers: list[str] = []
    while True:
        if not (yield from _open_containers(scanner, emit, closers)):
            yield from _scalar(scanner, emit)
        while closers and not (yield from _after_value(scanner, emit, closers)):
            pass
        if not closers:
            return


def string(scanner: Scanner, emit: Emit) -> Steps[None]:
    """A string with its quotes. Unescaped control characters become escapes."""
    yield from _copy(scanner, '"', emit)
    while True:
        if not (char := (yield from scanner.peek())):
            raise NotACall
        if plain := UNESCAPED.match(scanner.text, scanner.pos):
            scanner.pos = plain.end()
            emit(plain[0])
        elif char == "\\":
            yield from _escape(scanner, emit)
        else:
            scanner.pos += 1
            emit(char if char == '"' else SHORT_ESCAPES.get(char) or f"\\u{ord(char):04x}")
            if char == '"':
                return


def _open_containers(scanner: Scanner, emit: Emit, closers: list[str]) -> Steps[bool]:
    """Reads the opening brackets of arrays and objects. True: the innermost is empty and has been closed, so a value is complete."""
    while (char := (yield from scanner.peek())) and char in "{[":
        scanner.pos += 1
        emit(char)
        closers.append("}" if char == "{" else "]")
        if len(closers) > MAX_DEPTH:
            raise NotACall
        emit((yield from scanner.whitespace()))
        if (yield from scanner.peek()) == closers[-1]:
            yield from _copy(scanner, closers.pop(), emit)
            return True
        if char == "{":
            yield from _key(scanner, emit)
    return False


def _after_value(scanner: Scanner, emit: Emit, closers: list[str]) -> Steps[bool]:
    """Reads what follows a value within an array or object. True: another value comes next; False: the container has been closed."""
    emit((yield from scanner.whitespace()))
    if (yield from scanner.take(",")):
        emit(",")
        emit((yield from scanner.whitespace()))
        if closers[-1] == "}":
            yield from _key(scanner, emit)
        return True
    yield from _copy(scanner, closers.pop(), emit)
    return False


def _key(scanner: Scanner, emit: Emit) -> Steps[None]:
    yield from string(scanner, emit)
    emit((yield from scanner.whitespace()))
    yield from _copy(scanner, ":", emit)
    emit((yield from scanner.whitespace()))


def _scalar(scanner: Scanner, emit: Emit) -> Steps[None]:
    if (yield from scanner.peek()) == '"':
        yield from string(scanner, emit)
        return
    word = yield from scanner.take_while(lambda char: char.isalnum() or char in "+-.", MAX_NUMBER_LENGTH)
    if word not in LITERALS and not NUMBER.fullmatch(word):
        raise NotACall
    emit(word)


def _escape(scanner: Scanner, emit: Emit) -> Steps[None]:
    escape = yield from scanner.peek(2)
    if escape == "\\u":
        yield from _unicode_escape(scanner, emit)
    elif len(escape) == 2 and escape[1] in '"\\/bfnrt':
        scanner.pos += 2
        emit(escape)
    else:
        raise NotACall


def _unicode_escape(scanner: Scanner, emit: Emit) -> Steps[None]:
    r"""\u and four digits, or a surrogate pair of these. An unpaired surrogate (RFC 8259, 8.2) becomes U+FFFD."""
    code = yield from scanner.peek(6)
    if not HEX.fullmatch(code[2:]):
        raise NotACall
    pair = (yield from scanner.peek(12)) if HIGH_SURROGATE.fullmatch(code[2:]) else ""
    if LOW_SURROGATE.fullmatch(pair[6:]):
        code = pair
    elif code[2] in "dD" and code[3] in "89abcdefABCDEF":
        scanner.pos += len(code)
        emit(r"\ufffd")
        return
    scanner.pos += len(code)
    emit(code)


def _copy(scanner: Scanner, char: str, emit: Emit) -> Steps[None]:
    yield from scanner.expect(char)
    emit(char)
