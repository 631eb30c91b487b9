"""Detects hidden cells of a sheet: number formats that display nothing, tiny text, and text in the colour of the cell."""

import re
from typing import IO, Any

from retrieval.parse.common.colours import UNKNOWN, WHITE, look_alike, parse_colour

Sheet = Any  # a read-only worksheet of openpyxl
FIRST_CUSTOM_FORMAT = 164  # number formats below are built in, and display something
TINY_SIZE = 2  # points: text up to this size is unreadable
INDEXED = {0: "000000", 1: WHITE, 8: "000000", 9: WHITE}
BACKGROUND_THEME_COLOUR = 0  # index in a theme
NO_COLOUR = "00000000"  # openpyxl's value for no colour
READ_SIZE = 1 << 20  # bytes
OTHER_COLOUR_SOURCES = (b"tablePart", b"conditionalFormatting", b"<picture")
_THEME_LIGHT = re.compile(rb"""<a:lt1>.{0,60}?(?:lastClr|srgbClr val)=["']([0-9A-Fa-f]{6})""", re.S)
_FORMAT_PREFIX = re.compile(r"\[[^]]*\]|\s")  # colours and conditions


class HiddenCells:
    """Hidden cells of one sheet."""

    def __init__(self, sheet: Sheet) -> None:
        self.found = False  # whether a hidden cell was found so far
        self._sheet, self._book = sheet, sheet.parent
        self._known: dict[int, tuple[bool, bool, bool]] = {}
        light = _THEME_LIGHT.search(self._book.loaded_theme or b"")
        self._theme_background = parse_colour(light[1].decode()) if light else UNKNOWN
        self._no_other_colours: bool | None = None

    def hides(self, value: object, style: int) -> bool:
        """Whether a cell of this value and style index is invisible."""
        if style not in self._known:
            try:
                self._known[style] = self._inspect(style)
            except IndexError:  # the workbook lacks this style
                self._known[style] = (False, False, False)
        blends, text, number = self._known[style]
        hidden = value is not None and (blends or (text if isinstance(value, str) else number))
        self.found = self.found or hidden
        return hidden

    def _inspect(self, style: int) -> tuple[bool, bool, bool]:
        """Whether text is invisible; whether the number format hides text; whether it hides numbers."""
        said = self._book._cell_styles[style]
        font, own = self._book._fonts[said.fontId], said.numFmtId - FIRST_CUSTOM_FORMAT
        formats = self._book._number_formats
        parts = [_FORMAT_PREFIX.sub("", part) for part in (formats[own] if 0 <= own < len(formats) else "").split(";")]
        tiny = font.sz is not None and font.sz <= TINY_SIZE
        return (
            tiny or self._is_background_coloured(font, said.fillId),
            len(parts) == 4 and not parts[3],
            len(parts) > 2 and not any(parts[:3]),
        )

    def _is_background_coloured(self, font: Any, fill: int) -> bool:
        colour = UNKNOWN if font.color is None else self._colour(font.color)
        behind = self._background(self._book._fills[fill])
        return look_alike(colour, behind) and self._has_no_other_colours()

    def _background(self, fill: Any) -> str:
        kind = getattr(fill, "patternType", UNKNOWN)  # gradients have none
        if kind in (None, "none"):
            return WHITE
        return self._colour(fill.fgColor) if kind == "solid" else UNKNOWN

    def _colour(self, colour: Any) -> str:
        match colour.type:
            case "rgb" if not colour.tint and colour.rgb != NO_COLOUR:
                return parse_colour(str(colour.rgb)[-6:])
            case "indexed":
                return INDEXED.get(colour.indexed, UNKNOWN)
            case "theme" if colour.theme == BACKGROUND_THEME_COLOUR and not colour.tint:
                return self._theme_background
            case _:
                return UNKNOWN

    def _has_no_other_colours(self) -> bool:
        """Whether cells are coloured by their styles alone: no tables, conditional formats or background picture."""
        if self._no_other_colours is None:
            with self._sheet._get_source() as source:
                self._no_other_colours = not _contains(source, OTHER_COLOUR_SOURCES)
        return self._no_other_colours


def _contains(source: IO[bytes], words: tuple[bytes, ...]) -> bool:
    before = b""
    while block := source.read(READ_SIZE):
        if any(word in before + block for word in words):
            return True
        before = block[-max(map(len, words)) :]
    return False
