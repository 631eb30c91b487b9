"""Numbers that OpenDocument generates before list items and headings."""

from dataclasses import dataclass, field

from retrieval.parse.office import numerals
from retrieval.parse.office.opendocument.names import Element, count, q
from retrieval.parse.office.opendocument.styles import Styles

BULLET = "-"  # stands for every bullet
_NUMBERED, _OUTLINED = q("text:list-level-style-number"), q("text:outline-level-style")


@dataclass(slots=True)
class Counter:
    """The running numbers of one list, or of the headings, by level from 1."""

    numbers: dict[int, int] = field(default_factory=dict[int, int])

    def advance(self, level: int, start: int) -> None:
        self.numbers[level] = self.numbers.get(level, start - 1) + 1
        for deeper in [one for one in self.numbers if one > level]:
            del self.numbers[deeper]


def item_label(styles: Styles, style: str, level: int, counter: Counter, start: Element) -> str:
    """Of the next item on the level. `start`: the item, which may set a number."""
    found = _level(styles.lists.get(style), level)
    if found is None or found.tag != _NUMBERED:
        return BULLET
    if start.get(q("text:start-value"), "").isdecimal():
        counter.numbers[level] = int(start.get(q("text:start-value"))) - 1
    counter.advance(level, count(found, "text:start-value"))
    return _written(styles.lists[style], found, level, counter) or BULLET


def heading_label(styles: Styles, level: int, counter: Counter) -> str:
    """Of the next heading on the level, "" if headings are not numbered."""
    found = None if styles.outline is None else _level(styles.outline, level)
    if found is None or not found.get(q("style:num-format")):
        return ""
    counter.advance(level, count(found, "text:start-value"))
    return _written(styles.outline, found, level, counter)


def _level(style: Element | None, level: int) -> Element | None:
    levels = () if style is None else (one for one in style if one.get(q("text:level")) == str(level))
    return next(iter(levels), None)


def _written(style: Element, found: Element, level: int, counter: Counter) -> str:
    """With as many outer numbers as the level shows."""
    shown = range(max(level - count(found, "text:display-levels") + 1, 1), level + 1)
    parts = [_number(style, one, counter) for one in shown]
    number = ".".join(filter(None, parts))
    return f"{found.get(q('style:num-prefix'), '')}{number}{found.get(q('style:num-suffix'), '')}".strip() if number else ""


def _number(style: Element, level: int, counter: Counter) -> str:
    definition = _level(style, level)
    if definition is None or not definition.get(q("style:num-format")):
        return ""
    number = counter.numbers.get(level, count(definition, "text:start-value"))
    match definition.get(q("style:num-format")):
        case "a":
            return numerals.letters(number)
        case "A":
            return numerals.letters(number).upper()
        case "i":
            return numerals.roman(number)
        case "I":
            return numerals.roman(number).upper()
        case _:
            return str(number)
