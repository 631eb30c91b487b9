"""SQL lexer that follows PostgreSQL and MariaDB, to check statements and find their parameters.

Unknown syntax is rejected, comments are removed and white space is reduced to one space, so that the server sees exactly the tokens
checked here (PostgreSQL reads `'a' <newline> 'b'` as one string, and `E'..' <newline> '..'` as one with escapes).

Rules: PostgreSQL manual 4.1 Lexical Structure, with standard_conforming_strings on; MariaDB manual, String Literals, Comment Syntax
and Identifier Names, without ANSI_QUOTES and NO_BACKSLASH_ESCAPES. Each connection sets these modes itself.
"""

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mcp_servers.sql.api import Parameters, SqlError

TokenKind = Literal["word", "quoted", "string", "number", "parameter", "mark"]
KINDS: dict[str | None, TokenKind] = {kind: kind for kind in get_args(TokenKind)}


@dataclass(frozen=True, slots=True)
class Token:
    """`spaced`: preceded by white space or a comment."""

    kind: TokenKind
    text: str
    spaced: bool = False

    @property
    def name(self) -> str:
        """Of a word or quoted identifier, ASCII letters in lower case as the database compares it: PostgreSQL does not fold É."""
        if self.kind != "quoted":
            return self.text.translate(ASCII_LOWER)
        quote = self.text[0]
        return self.text[1:-1].replace(quote * 2, quote).translate(ASCII_LOWER)

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words


@dataclass(frozen=True, slots=True)
class Grammar:
    """`blank`: separators; `refused`: rejected syntax, in groups named as in REFUSED; `token`: one named group per kind."""

    blank: re.Pattern[str]
    nested: bool  # /* /* */ */
    refused: re.Pattern[str]
    token: re.Pattern[str]


WORD = r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*"
PARAMETER = r"(?P<parameter>(?<!:):[A-Za-z_][A-Za-z0-9_]*)"
# Possessive quantifiers: no backtracking, so that every statement is scanned in linear time.
DIGITS = r"[0-9](?:_?[0-9])*+"
NUMBER = (
    rf"(?>0[xX](?:_?[0-9A-Fa-f])++|0[oO](?:_?[0-7])++|0[bB](?:_?[01])++|(?:{DIGITS}(?:\.(?:{DIGITS})?)?|\.{DIGITS})(?:[eE][+-]?{DIGITS})?)"
)
PLAIN_NUMBER = r"(?>(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)"
NESTED, CLOSED = re.compile(r"/\*|\*/"), re.compile(r"\*/")  # comment delimiters: PostgreSQL nests comments, others do not
ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

REFUSED: dict[str | None, str] = {
    "escaped": 'U&"..." identifiers are not taken; write the character itself',
    "foreign": "write :name and give its value in `parameters`",
    "number": "a number runs into a name; put a space between",
    "executed": "/*! ... */ would be executed; write the statement without it",
    "variable": "variables in quotes are not taken",
    "signs": "-- begins a comment only with a space behind it; write - - for two signs",
}
POSTGRES = Grammar(
    blank=re.compile(r"[ \t\n\r\f\v]+|--[^\n\r]*"),
    nested=True,
    refused=re.compile(rf'(?P<escaped>[uU]&")|(?P<foreign>\$[0-9])|(?P<number>{NUMBER}[A-Za-z0-9_$\x80-\U0010ffff])', re.ASCII),
    token=re.compile(
        r"(?P<string>[eE]'(?:[^'\\]|\\.|'')*+'|(?:[uU]&|[bBxXnN])?'(?:[^']|'')*+'"
        r"|(?P<tag>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$).*?(?P=tag))"
        rf'|(?P<quoted>"(?:[^"]|"")++")|(?P<number>{NUMBER})|(?P<word>(?![eE]\x27){WORD})|{PARAMETER}|(?P<mark>::|:=|[^\s\'"\\$0-9A-Za-z\x00-\x1f])',
        re.DOTALL | re.ASCII,
    ),
)
MARIADB = Grammar(
    blank=re.compile(r"[ \t\n\r\f\v]+|#[^\n]*|--[^\n]*"),
    nested=False,
    refused=re.compile(
        r"(?P<foreign>\?)|(?P<executed>/\*M?!)|(?P<variable>@['\"`])|(?P<signs>--(?![ \t\n\r\f\v]|$))", re.ASCII | re.IGNORECASE
    ),
    token=re.compile(
        r"(?P<string>(?:[nNbBxX])?'(?:[^'\\]|\\.|'')*+'|\"(?:[^\"\\]|\\.|\"\")*+\")"
        rf"|(?P<quoted>`(?:[^`]|``)++`)|(?P<word>[0-9]*+{WORD}|\$[A-Za-z0-9_$]+)|(?P<number>{PLAIN_NUMBER})|{PARAMETER}"
        r"|(?P<mark>:=|\\N|[^\s'\"`\\\x00-\x1f])",
        re.DOTALL | re.ASCII,
    ),
)
SQLITE = Grammar(  # to find parameters and names in quotes: SQLite statements are checked by its authorizer
    blank=re.compile(r"[ \t\n\r\f\v]+|--[^\n]*"),
    nested=False,
    refused=re.compile(r"(?P<foreign>[?$@])"),
    token=re.compile(
        r"(?P<string>[xX]?'(?:[^']|'')*+')"
        rf"|(?P<quoted>\"(?:[^\"]|\"\")*+\"|`(?:[^`]|``)*+`|\[[^\]]*\])|(?P<word>{WORD})|(?P<number>{PLAIN_NUMBER})|{PARAMETER}|(?P<mark>[^\s'\"`\[\x00-\x1f])",
        re.DOTALL | re.ASCII,
    ),
)


def tokens(sql: str, grammar: Grammar) -> list[Token]:
    """The tokens of a single statement, without trailing semicolons. Raises SqlError."""
    found = list(_scan(sql, grammar))
    while found and found[-1].text == ";":
        found.pop()
    if any(token.kind == "mark" and token.text == ";" for token in found):
        raise SqlError("one statement at a time: there is a ; in the middle")
    if not found:
        raise SqlError("there is no statement")
    return found


def _scan(sql: str, grammar: Grammar) -> Iterator[Token]:
    place, spaced = 0, False
    while place < len(sql):
        if wrong := grammar.refused.match(sql, place):
            raise SqlError(f"near {sql[place : place + 20]!r}: {REFUSED[wrong.lastgroup]}")
        if blank := _blank(sql, place, grammar):
            place, spaced = blank, True
            continue
        match = grammar.token.match(sql, place)
        if not match or match.lastgroup not in KINDS:
            raise SqlError(f"near {sql[place : place + 20]!r}: a quote is not closed, or a character does not belong there")
        yield Token(KINDS[match.lastgroup], match[0], spaced)
        place, spaced = match.end(), False


def _blank(sql: str, place: int, grammar: Grammar) -> int:
    """End of the white space or comment at `place`; 0: none begins there."""
    if sql.startswith("/*", place):
        return _comment(sql, place, grammar.nested)
    blank = grammar.blank.match(sql, place)
    return blank.end() if blank else 0


def _comment(sql: str, place: int, nested: bool) -> int:
    depth = 1
    for sign in (NESTED if nested else CLOSED).finditer(sql, place + 2):
        depth += 1 if sign[0] == "/*" else -1
        if not depth:
            return sign.end()
    raise SqlError("a comment is not closed")


def written(found: Sequence[Token], parameters: Parameters, numbered: bool) -> tuple[str, list[str]]:
    """The statement with $1, $2 (`numbered`) or ? in place of :name, and the parameter names in that order. Raises SqlError: a value
    is missing or unused."""
    names = [token.text[1:] for token in found if token.kind == "parameter"]
    check_names(names, parameters)
    order = list(dict.fromkeys(names)) if numbered else names
    numbers = {name: number for number, name in enumerate(order, 1)}
    pieces: list[str] = []
    for token in found:
        text = token.text
        if token.kind == "parameter":
            text = f"${numbers[token.text[1:]]}" if numbered else "?"
        pieces.append(f" {text}" if token.spaced or token.kind == "parameter" else text)
    return "".join(pieces).strip(), order


def strict(found: Sequence[Token]) -> str:
    """The statement for SQLite with `name` in place of "name", which it would take for a text where there is no such name."""
    pieces: list[str] = []
    for token in found:
        text = token.text
        if token.kind == "quoted" and text.startswith('"'):
            text = "`" + text[1:-1].replace('""', '"').replace("`", "``") + "`"
        pieces.append(f" {text}" if token.spaced else text)
    return "".join(pieces).strip()


def check_names(names: Sequence[str], parameters: Parameters) -> None:
    used = dict.fromkeys(names)
    if missing := [name for name in used if name not in parameters]:
        raise SqlError(f"parameters: there is no value for :{missing[0]}")
    if unused := [name for name in parameters if name not in used]:
        raise SqlError(f"parameters: the statement has no :{unused[0]}")
