"""Texts whose lines may end differently: what is looked for has \\n at the end of lines, and each line keeps its own end."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Lines:
    """`text`: with \\n at the end of lines; `ends`: what really stands there, one for each \\n."""

    text: str
    ends: Sequence[str]

    @property
    def mixed(self) -> bool:
        return len(set(self.ends)) > 1

    def written(self) -> str:
        return "".join(part + end for part, end in zip_longest(self.text.split("\n"), self.ends, fillvalue=""))

    def replaced(self, old: str, new: str) -> "Lines":
        """Every `old`, which is not empty, becomes `new`; both have \\n at the end of lines."""
        parts, lines, ends, at = self.text.split(old), old.count("\n"), list[str](), 0
        for number, part in enumerate(parts):
            if number:
                ends += _ends(old, new, self.ends[at : at + lines], self.ends[at - 1 : at] or self.ends[:1])
                at += lines
            ends += self.ends[at : (at := at + part.count("\n"))]
        return Lines(new.join(parts), ends)


def lines_of(raw: str) -> Lines:
    return Lines(END.sub("\n", raw), END.findall(raw))


def _ends(old: str, new: str, ends: Sequence[str], near: Sequence[str]) -> Sequence[str]:
    """The ends of the lines of `new`: lines that are the same at the beginning or the end keep theirs, the others take those of the
    lines in whose place they stand. `near`: an end nearby, if there is any; it serves where none is replaced."""
    before, after = old.split("\n")[:-1], new.split("\n")[:-1]
    first = _same(before, after)
    last = min(_same(before[::-1], after[::-1]), len(before) - first, len(after) - first)
    middle, wanted = ends[first : len(before) - last], len(after) - first - last
    usual = next(iter([*middle[-1:], *ends[:first][-1:], *ends[-1:], *near]), "\n")
    return [*ends[:first], *middle[:wanted], *[usual] * (wanted - len(middle)), *ends[len(before) - last :]]


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """How many are equal at the beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
