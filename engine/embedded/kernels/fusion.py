"""Two neighbours of a recording made one, where nobody else reads what passes between them: it never leaves the cache."""

from collections.abc import Sequence

from engine.embedded.kernels.library import ACTIVATE, ADD, BALANCE, LAYER_NORM, Op

NONE = -1  # BALANCE: no activation


def fused(ops: Sequence[Op], output: int) -> list[Op]:
    """`output`: address of what the recording returns."""
    out: list[Op] = []
    for op in ops:
        before = out[-1] if out else None
        if before is not None and _passes(before, op):
            alone = before.pointers[-1] != output and _touching(ops, before) == 2
            if op.code == BALANCE and alone:
                out[-1] = _activated(before, op)
                continue
            if op.code == LAYER_NORM:
                out[-1] = _added(before, op, alone)
                continue
        out.append(op)
    return out


def _passes(first: Op, second: Op) -> bool:
    """Does the one make what the other reads, in a way that is known here?"""
    if first.pointers[-1] != second.pointers[0] or tuple(first.sizes[:2]) != tuple(second.sizes[:2]):
        return False
    width = first.sizes[1]
    if first.code == ACTIVATE and second.code == BALANCE:
        return second.sizes[3:] == (width, NONE) and first.sizes[3] == width
    return first.code == ADD and second.code == LAYER_NORM and tuple(first.sizes[2:]) == (width, width) and second.sizes[2:4] == (1, width)


def _touching(ops: Sequence[Op], maker: Op) -> int:
    """How many ops point into what `maker` makes: float32 rows."""
    begin = maker.pointers[-1]
    end = begin + 4 * maker.sizes[0] * maker.sizes[1]
    return sum(any(begin <= pointer < end for pointer in op.pointers) for op in ops)


def _activated(activate: Op, balance: Op) -> Op:
    return balance.changed([activate.pointers[0], *balance.pointers[1:]], [*balance.sizes[:4], activate.sizes[2]])


def _added(add: Op, norm: Op, alone: bool) -> Op:
    """x + y is kept only where somebody else reads it too."""
    x, y, total = add.pointers
    return norm.changed([x, *norm.pointers[1:4], y, 0 if alone else total], norm.sizes)
