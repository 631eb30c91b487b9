"""Numbers that Word generates before paragraphs: 2.1, (a), iv. (ECMA-376 part 1, chapter 17.9)."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from docx.document import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.office import numerals
from retrieval.parse.office.word.styles import Styles, path, switched_on, value_of

LEVELS = 9
BULLET = "-"  # stands for every bullet
_PLACEHOLDER = re.compile(r"%([1-9])")
_FORMATS: dict[str, Callable[[int], str]] = {
    "decimalZero": lambda number: f"{number:02}",
    "lowerLetter": numerals.letters,
    "upperLetter": lambda number: numerals.letters(number).upper(),
    "lowerRoman": numerals.roman,
    "upperRoman": lambda number: numerals.roman(number).upper(),
    "ordinal": numerals.ordinal,
    "none": lambda number: "",
}  # all others in digits


@dataclass(frozen=True, slots=True)
class Label:
    """What stands before a paragraph. `depth` from 0."""

    text: str
    depth: int


@dataclass(slots=True)
class _List:
    """An instance of a definition, with what it changes in it."""

    definition: Element
    counters: dict[int, int]  # by level; shared by the instances of a definition
    overrides: dict[int, Element] = field(default_factory=dict[int, Element])
    restarted: bool = False


class Numbering:
    """Counts the numbered paragraphs of a document, which must be passed in document order."""

    def __init__(self, document: Document, styles: Styles) -> None:
        self._styles = styles
        self._lists = dict[str, _List]()
        if any(one.reltype == RELATIONSHIP_TYPE.NUMBERING and not one.is_external for one in document.part.rels.values()):
            self._read(document.part.numbering_part.element)

    def label(self, paragraph: Element) -> Label | None:
        """None: the paragraph is not in a list."""
        number, level = self._reference(paragraph)
        found = self._lists.get(number)
        if found is None:
            return Label(BULLET, level) if number and number != "0" else None
        return Label(self._count(found, level), level)

    def _read(self, root: Element) -> None:
        definitions = {one.get(qn("w:abstractNumId"), ""): one for one in root.iterchildren(qn("w:abstractNum"))}
        counters = {name: dict[int, int]() for name in definitions}
        instances = {one.get(qn("w:numId"), ""): one for one in root.iterchildren(qn("w:num"))}
        for number, instance in instances.items():
            name = value_of(instance, "w:abstractNumId")
            if linked := value_of(definitions[name], "w:numStyleLink") if name in definitions else "":
                name = self._definition_of_style(linked, instances) or name
            if name in definitions:
                overrides = {_integer(one.get(qn("w:ilvl"), "0")): one for one in instance.iterchildren(qn("w:lvlOverride"))}
                self._lists[number] = _List(definitions[name], counters[name], overrides)

    def _definition_of_style(self, style: str, instances: dict[str, Element]) -> str:
        numbers = (value_of(one, "w:pPr/w:numPr/w:numId") for one in self._styles.chain(style))
        number = next(filter(None, numbers), "")
        return value_of(instances[number], "w:abstractNumId") if number in instances else ""

    def _reference(self, paragraph: Element) -> tuple[str, int]:
        """Identifier of the list, "" for none, and level."""
        name = self._styles.of_paragraph(paragraph)
        holders = [paragraph, *self._styles.chain(name)]
        number = next(filter(None, (value_of(one, "w:pPr/w:numPr/w:numId") for one in holders)), "")
        level = next(filter(None, (value_of(one, "w:pPr/w:numPr/w:ilvl") for one in holders)), "")
        if not level and number in self._lists:
            levels = self._lists[number].definition.iterchildren(qn("w:lvl"))
            level = next((one.get(qn("w:ilvl"), "0") for one in levels if value_of(one, "w:pStyle") == name), "0")
        return number, min(_integer(level), LEVELS - 1)

    def _count(self, found: _List, level: int) -> str:
        self._restart(found)
        counters = found.counters
        counters[level] = counters.get(level, self._start(found, level) - 1) + 1
        for deeper in [one for one in counters if one > level]:
            del counters[deeper]
        return self._written(found, level)

    def _restart(self, found: _List) -> None:
        """At the first paragraph of an instance that sets numbers of its own."""
        if not found.restarted:
            found.restarted = True
            for level, override in found.overrides.items():
                if override.find(qn("w:startOverride")) is not None:
                    found.counters.pop(level, None)

    def _start(self, found: _List, level: int) -> int:
        override = found.overrides.get(level)
        own = "" if override is None else value_of(override, "w:startOverride")
        definition = self._level(found, level)
        return _integer(own or ("1" if definition is None else value_of(definition, "w:start") or "0"))

    def _level(self, found: _List, level: int) -> Element | None:
        override = found.overrides.get(level)
        own = None if override is None else override.find(qn("w:lvl"))
        levels = found.definition.iterchildren(qn("w:lvl"))
        return own if own is not None else next((one for one in levels if one.get(qn("w:ilvl")) == str(level)), None)

    def _written(self, found: _List, level: int) -> str:
        definition = self._level(found, level)
        if definition is None or value_of(definition, "w:numFmt") == "bullet":
            return BULLET
        legal = bool(switched_on(definition.find(path("w:isLgl"))))

        def counter(place: re.Match[str]) -> str:
            at = int(place[1]) - 1
            inner = self._level(found, at)
            number = found.counters.get(at, self._start(found, at))
            kind = "decimal" if legal or inner is None else value_of(inner, "w:numFmt")
            return _FORMATS.get(kind, str)(number)

        return _PLACEHOLDER.sub(counter, value_of(definition, "w:lvlText")).strip()


def _integer(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0
