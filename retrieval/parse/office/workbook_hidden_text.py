"""What of a sheet nobody sees: cells whose number format shows nothing, tiny letters, and letters in the colour of the cell."""

import re
from typing import IO, Any

from retrieval.parse.common.colours import SOME, WHITE, known, same

Sheet = Any  # one of openpyxl's that is read row by row
FIRST_OWN = 164  # the number formats before are Excel's, and show something
TINY = 2  # points: nobody reads what is no larger
INDEXED = {0: "000000", 1: WHITE, 8: "000000", 9: WHITE}
PAPER = 0  # of a theme
UNSAID = "00000000"  # what openpyxl makes of no colour
PIECE = 1 << 20  # bytes
COLOURED_OTHERWISE = (b"tablePart", b"conditionalFormatting", b"<picture")
_LIGHT = re.compile(rb"""<a:lt1>.{0,60}?(?:lastClr|srgbClr val)=["']([0-9A-Fa-f]{6})""", re.S)
_ASIDE = re.compile(r"\[[^]]*\]|\s")  # colours and conditions


class CellInk:
    """Answers for one sheet."""

    def __init__(self, sheet: Sheet) -> None:
        self.hid = False  # a cell, so far
        self._sheet, self._book = sheet, sheet.parent
        self._known: dict[int, tuple[bool, bool, bool]] = {}
        light = _LIGHT.search(self._book.loaded_theme or b"")
        self._paper = known(light[1].decode()) if light else SOME
        self._plain: bool | None = None

    def hides(self, value: object, style: int) -> bool:
        """A cell of this value and style."""
        if style not in self._known:
            try:
                self._known[style] = self._look(style)
            except IndexError:  # a style that the workbook does not have
                self._known[style] = (False, False, False)
        blends, text, number = self._known[style]
        hidden = value is not None and (blends or (text if isinstance(value, str) else number))
        self.hid = self.hid or hidden
        return hidden

    def _look(self, style: int) -> tuple[bool, bool, bool]:
        """Whether letters cannot be seen; whether the format shows no text; whether it shows no number."""
        said = self._book._cell_styles[style]
        font, own = self._book._fonts[said.fontId], said.numFmtId - FIRST_OWN
        formats = self._book._number_formats
        parts = [_ASIDE.sub("", part) for part in (formats[own] if 0 <= own < len(formats) else "").split(";")]
        tiny = font.sz is not None and font.sz <= TINY
        return tiny or self._blends(font, said.fillId), len(parts) == 4 and not parts[3], len(parts) > 2 and not any(parts[:3])

    def _blends(self, font: Any, fill: int) -> bool:
        colour = SOME if font.color is None else self._colour(font.color)
        behind = self._behind(self._book._fills[fill])
        return same(colour, behind) and self._is_plain()

    def _behind(self, fill: Any) -> str:
        kind = getattr(fill, "patternType", SOME)  # gradients have none
        if kind in (None, "none"):
            return WHITE
        return self._colour(fill.fgColor) if kind == "solid" else SOME

    def _colour(self, colour: Any) -> str:
        match colour.type:
            case "rgb" if not colour.tint and colour.rgb != UNSAID:
                return known(str(colour.rgb)[-6:])
            case "indexed":
                return INDEXED.get(colour.indexed, SOME)
            case "theme" if colour.theme == PAPER and not colour.tint:
                return self._paper
            case _:
                return SOME

    def _is_plain(self) -> bool:
        """Whether nothing but its own style colours a cell."""
        if self._plain is None:
            with self._sheet._get_source() as source:
                self._plain = not _holds(source, COLOURED_OTHERWISE)
        return self._plain


def _holds(source: IO[bytes], words: tuple[bytes, ...]) -> bool:
    before = b""
    while piece := source.read(PIECE):
        if any(word in before + piece for word in words):
            return True
        before = piece[-max(map(len, words)) :]
    return False
