"""Reading order of shapes on a slide: by recursive cuts along the widest gap (XY-cut; Nagy and Seth, 1984)."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
Box = tuple[int, int, int, int]  # left, top, right, bottom
TOLERANCE = 20  # shapes may overlap by this part of the smaller one, and still count as side by side
MAX_DEPTH = 50


def in_reading_order(shapes: Sequence[tuple[Box, T]], depth: int = 0) -> Iterator[T]:
    """Columns from the left, rows from the top; whichever are further apart are read one after the other."""
    cut = _widest_cut(shapes) if depth < MAX_DEPTH else None
    if cut is None:
        yield from (shape for _, shape in sorted(shapes, key=lambda one: (one[0][1], one[0][0])))
        return
    for part in cut:
        yield from in_reading_order(part, depth + 1)


def _widest_cut(shapes: Sequence[tuple[Box, T]]) -> tuple[Sequence[tuple[Box, T]], Sequence[tuple[Box, T]]] | None:
    """None if there is no gap in either direction."""
    found = [cut for axis in (0, 1) if (cut := _cut(shapes, axis)) is not None]
    if not found:
        return None
    _, at, ordered = max(found, key=lambda cut: cut[0])
    return ordered[:at], ordered[at:]


def _cut(shapes: Sequence[tuple[Box, T]], axis: int) -> tuple[float, int, Sequence[tuple[Box, T]]] | None:
    """Width of the widest gap along the axis (0: between columns), the index after it, and the shapes in order of the axis."""
    ordered = sorted(shapes, key=lambda one: one[0][axis])
    end, best = 0, None
    for at, (box, _) in enumerate(ordered):
        if at:
            smaller = min(one[0][axis + 2] - one[0][axis] for one in ordered)
            gap = box[axis] - end
            if gap >= -smaller / TOLERANCE and (best is None or gap > best[0]):
                best = (float(gap), at, ordered)
        end = max(end, box[axis + 2]) if at else box[axis + 2]
    return best
