"""Numbers as a sheet shows them, where the number format carries meaning: percent, currencies, units, leading zeros
(ECMA-376 part 1, 18.8.31). Formats of dates are not read here."""

import math
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

MAX_CODE = 255  # characters; Excel's own limit
MAX_DECIMALS = 30
EXACT_INTEGER = 1e21  # floats below are written without an exponent
_SECTION = re.compile(r'(?:"[^"]*"|\\.|\[[^\]]*\]|[^;"\\\[])*')
_TOKEN = re.compile(
    r"""(?P<currency>\[\$(?P<sign>[^\]-]*)[^\]]*\])|(?P<condition>\[(?P<compare>[<>=]+)(?P<limit>-?[\d.]+)\])|(?P<bracket>\[[^\]]*\])"""
    r"""|"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<space>[_*].)|(?P<general>General)|(?P<digits>[0#?][0#?,]*(?:\.[0#?]*)?,*|\.[0#?]+)"""
    r"""|(?P<exponent>[Ee][+-]0+)|(?P<percent>%)|(?P<fraction>/)|(?P<other>.)""",
    re.S | re.I,
)
_COMPARE = {"<": "__lt__", ">": "__gt__", "=": "__eq__", "<=": "__le__", ">=": "__ge__", "<>": "__ne__"}


@dataclass(frozen=True, slots=True)
class _Section:
    before: str
    digits: str  # "" if the section shows only words
    after: str
    condition: tuple[str, float] | None
    percents: int
    readable: bool  # without fractions and exponents, which lose digits

    @property
    def has_words(self) -> bool:
        return bool(re.sub(r"[\s()+\-.,]", "", self.before + self.after))

    @property
    def has_meaning(self) -> bool:
        """Whether it says more than the number: a unit, a currency, zeros in front."""
        return self.has_words or self.digits.partition(".")[0].count("0") > 1


def number(value: float) -> str:
    """With the 15 digits that Excel holds: more are noise of binary fractions."""
    if isinstance(value, int):
        return str(value)
    if value.is_integer() and abs(value) < EXACT_INTEGER:
        return f"{value:.0f}"
    return f"{value:.15g}"


def has_meaning(code: str) -> bool:
    """Whether a format may add something to a number."""
    return len(code) <= MAX_CODE and any(section.has_meaning for section in _sections(code))


def shown(value: float, code: str) -> str | None:
    """None: the format adds nothing to the number, or is of a kind that is not read here."""
    if not has_meaning(code) or not math.isfinite(value):
        return None
    section = _chosen(value, _sections(code))
    if section is None or not section.readable:
        return None
    if not section.digits:
        return (section.before + section.after).strip() or None
    number = _digits(abs(value), section)
    before, after = section.before.replace("(", ""), section.after.replace(")", "")
    sign = "-" if value < 0 and "-" not in before and number.strip("0.,") else ""
    return " ".join(f"{sign}{before.lstrip()}{number}{after.rstrip()}".split())


def _chosen(value: float, sections: tuple[_Section, ...]) -> _Section | None:
    if any(section.condition for section in sections):
        fits = (one for one in sections if one.condition is None or getattr(float(value), _COMPARE[one.condition[0]])(one.condition[1]))
        return next(fits, None)
    numeric = sections[:3]
    if value < 0 and len(numeric) > 1:
        return numeric[1]
    if value == 0 and len(numeric) > 2:
        zero = numeric[2]  # often just a dash
        return zero if "0" in zero.digits or (zero.has_words and not zero.digits) else numeric[0]
    return numeric[0] if numeric else None


@lru_cache(maxsize=512)
def _sections(code: str) -> tuple[_Section, ...]:
    texts = list[str]()
    at = 0
    while at <= len(code):
        found = _SECTION.match(code, at)
        assert found is not None  # it matches the empty string
        texts.append(found[0])
        at = found.end() + 1
    return tuple(map(_section, texts))


def _section(text: str) -> _Section:
    before, after, digits, condition, percents, readable = "", "", "", None, 0, True
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "digits" | "general" if not digits:
                digits = token[0]
            case "digits" | "exponent" | "fraction" | "general":
                readable = False
            case "compare" | "limit" | "condition":
                compare = token["compare"]
                condition = (compare, float(token["limit"])) if compare in _COMPARE else None
            case "bracket" | "space":
                literal = " " if token[0] == "_ " else ""
                before, after = (before, after + literal) if digits else (before + literal, after)
            case _:
                literal = _literal(token)
                percents += token.lastgroup == "percent"
                before, after = (before, after + literal) if digits else (before + literal, after)
    return _Section(before, digits, after, condition, percents, readable)


def _literal(token: re.Match[str]) -> str:
    for group in ("quoted", "escaped", "sign"):
        if token[group] is not None:
            return token[group]
    return "" if token[0] == "@" else token[0]


def _digits(value: float, section: _Section) -> str:
    """Without marks between thousands, which read as decimal ones elsewhere."""
    if section.digits.casefold() == "general":
        return number(value)
    whole, _, decimals = section.digits.rstrip(",").partition(".")
    scale = len(section.digits) - len(section.digits.rstrip(","))  # each trailing comma divides by a thousand
    exact = Decimal(repr(value)) * (Decimal(100) ** section.percents) / (Decimal(1000) ** scale)
    places = min(len(decimals), MAX_DECIMALS)
    text = f"{exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"
    integer, _, part = text.partition(".")
    integer = integer.zfill(whole.replace(",", "").count("0"))
    needed = len(decimals.rstrip("#?"))
    part = part[:needed] + part[needed:].rstrip("0")
    return f"{integer}.{part}" if part else integer
