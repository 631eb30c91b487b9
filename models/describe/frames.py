"""Counts of the two convolutions that make an encoder's rows of frames."""

from models.spec import FRAME_TAPS, Frames


def parameters(spec: Frames, dim: int) -> int:
    return operations_of_frame(spec, dim) + FRAME_TAPS * dim * dim + 2 * dim


def operations(spec: Frames, dim: int) -> int:
    """Multiply-adds for one of the encoder's rows, which two frames make."""
    return 2 * operations_of_frame(spec, dim) + FRAME_TAPS * dim * dim


def operations_of_frame(spec: Frames, dim: int) -> int:
    return FRAME_TAPS * spec.bins * dim
