"""Marks of passages in an answer that is being written: one that names no passage, [7] of four, is taken out, for no reader could
follow it."""

import re

SPACE = " \t"
MARK = re.compile(r"([ \t]*)\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\](?!\()")  # not the text of a link
BEGUN = re.compile(r"[ \t]*(?:\[[\d,;\s]{0,40}\]?)?\Z")  # what may become one
HALF = re.compile(r"[ \t]*\[[\d,;\s]{0,40}\Z")


class Marks:
    """`passages`: how many there are. Brackets in code are no marks."""

    def __init__(self, passages: int) -> None:
        self._passages = passages
        self._held = ""
        self._ticks = 0  # "`" so far: after an odd number of them there is code
        self._bare = True  # nothing stands in this line yet
        self._gap = False  # a mark has been taken out at its beginning

    def push(self, text: str, *, last: bool = False) -> str:
        """What can be shown. What may yet become a mark is held back, until the `last`."""
        text = self._held + text
        begun = None if last else BEGUN.search(text)
        text, self._held = (text, "") if begun is None else (text[: begun.start()], begun[0])
        shown, at = "", 0
        for mark in MARK.finditer(text):
            shown += self._said(text[at : mark.start()])
            shown += self._marked(mark)
            at = mark.end()
        return shown + self._said(self._ended(text[at:]) if last else text[at:])

    def _marked(self, mark: re.Match[str]) -> str:
        numbers = re.split(r"\D+", mark[2])
        good = [number for number in numbers if 1 <= int(number) <= self._passages]
        if good == numbers or self._ticks % 2:
            return self._said(mark[0])
        if good:
            return self._said(f"{mark[1]}[{', '.join(good)}]")
        if self._bare:
            self._gap = True
        return ""

    def _ended(self, text: str) -> str:
        """Without a mark that has not been brought to its end."""
        code = (self._ticks + text.count("`")) % 2
        return text if code else HALF.sub("", text)

    def _said(self, text: str) -> str:
        text = text.lstrip(SPACE) if self._gap else text
        if text:
            self._ticks += text.count("`")
            self._bare, self._gap = text.endswith("\n"), False
        return text
