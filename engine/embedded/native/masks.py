"""Masks as the kernels know them (masks.h)."""

from models.spec import Causal, Chunked, Fixed, GroupedWindow, Mask, Strided, Window

CAUSAL, WINDOW, CHUNKED, STRIDED, FIXED, FULL = range(6)  # op.h: MaskKind


def numbers_of(mask: Mask) -> tuple[int, int, int] | None:
    """Kind and two numbers; None for a mask that sees ahead. A window for each head has its sizes apart from this."""
    match mask:
        case Causal():
            return CAUSAL, 0, 0
        case Window(size=size):
            return WINDOW, size, 0
        case GroupedWindow():
            return WINDOW, mask.reach or 0, 0
        case Chunked(size=size, before=before):
            return CHUNKED, size, before
        case Strided(local=local, stride=stride):
            return STRIDED, local, stride
        case Fixed(size=size, summary=summary):
            return FIXED, size, summary
        case _:
            return None
