"""JSON values, handed on while they arrive. What is handed on is always the beginning of valid JSON (RFC 8259)."""

import re

from server.text.tool_calls.parsing.scanner import Emit, NotACall, Scanner, Steps

PLAIN = re.compile(r'[^"\\\x00-\x1f]+')
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
HIGH, LOW = re.compile(r"[dD][89abAB][0-9a-fA-F]{2}"), re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
HEX = re.compile(r"[0-9a-fA-F]{4}")
SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
WORDS = frozenset({"true", "false", "null"})
DEEPEST = 64  # levels
LONGEST = 4096  # characters of a number


def value(scan: Scanner, emit: Emit) -> Steps[None]:
    """Any one value. Raises NoCall at the first character that no JSON could have there."""
    open_: list[str] = []
    while True:
        if not (yield from _opened(scan, emit, open_)):
            yield from _simple(scan, emit)
        while open_ and not (yield from _next(scan, emit, open_)):
            pass
        if not open_:
            return


def string(scan: Scanner, emit: Emit) -> Steps[None]:
    """With its quotes. Control characters that models write as they are become escapes."""
    yield from _given(scan, '"', emit)
    while True:
        if not (char := (yield from scan.peek())):
            raise NotACall
        if plain := PLAIN.match(scan.text, scan.at):
            scan.at = plain.end()
            emit(plain[0])
        elif char == "\\":
            yield from _escape(scan, emit)
        else:
            scan.at += 1
            emit(char if char == '"' else SHORT.get(char) or f"\\u{ord(char):04x}")
            if char == '"':
                return


def _opened(scan: Scanner, emit: Emit, open_: list[str]) -> Steps[bool]:
    """Reads what opens lists and objects. True: the innermost is empty, which makes it a whole value."""
    while (char := (yield from scan.peek())) and char in "{[":
        scan.at += 1
        emit(char)
        open_.append("}" if char == "{" else "]")
        if len(open_) > DEEPEST:
            raise NotACall
        emit((yield from scan.white()))
        if (yield from scan.peek()) == open_[-1]:
            yield from _given(scan, open_.pop(), emit)
            return True
        if char == "{":
            yield from _key(scan, emit)
    return False


def _next(scan: Scanner, emit: Emit, open_: list[str]) -> Steps[bool]:
    """What follows a value within a list or object: True where another value is due."""
    emit((yield from scan.white()))
    if (yield from scan.take(",")):
        emit(",")
        emit((yield from scan.white()))
        if open_[-1] == "}":
            yield from _key(scan, emit)
        return True
    yield from _given(scan, open_.pop(), emit)
    return False


def _key(scan: Scanner, emit: Emit) -> Steps[None]:
    yield from string(scan, emit)
    emit((yield from scan.white()))
    yield from _given(scan, ":", emit)
    emit((yield from scan.white()))


def _simple(scan: Scanner, emit: Emit) -> Steps[None]:
    if (yield from scan.peek()) == '"':
        yield from string(scan, emit)
        return
    word = yield from scan.while_in(lambda char: char.isalnum() or char in "+-.", LONGEST)
    if word not in WORDS and not NUMBER.fullmatch(word):
        raise NotACall
    emit(word)


def _escape(scan: Scanner, emit: Emit) -> Steps[None]:
    escape = yield from scan.peek(2)
    if escape == "\\u":
        yield from _code(scan, emit)
    elif len(escape) == 2 and escape[1] in '"\\/bfnrt':
        scan.at += 2
        emit(escape)
    else:
        raise NotACall


def _code(scan: Scanner, emit: Emit) -> Steps[None]:
    r"""\u and four digits. Half of a surrogate pair is no character (RFC 8259, 8.2)."""
    code = yield from scan.peek(6)
    if not HEX.fullmatch(code[2:]):
        raise NotACall
    pair = (yield from scan.peek(12)) if HIGH.fullmatch(code[2:]) else ""
    if LOW.fullmatch(pair[6:]):
        code = pair
    elif code[2] in "dD" and code[3] in "89abcdefABCDEF":
        scan.at += len(code)
        emit(r"\ufffd")
        return
    scan.at += len(code)
    emit(code)


def _given(scan: Scanner, char: str, emit: Emit) -> Steps[None]:
    yield from scan.expect(char)
    emit(char)
