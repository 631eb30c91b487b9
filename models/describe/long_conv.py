"""Counts of long convolutions."""

from models.spec import LongConv


def matrices(mixer: LongConv, dim: int) -> int:
    """Numbers that one token is multiplied with. The filter is made once, for all tokens."""
    return (mixer.order + 2) * mixer.channels * dim


def parameters(mixer: LongConv, dim: int) -> int:
    gates, long, f = (mixer.order + 1) * mixer.channels, (mixer.order - 1) * mixer.channels, mixer.filter
    network = (2 * f.bands + 1 + 1) * f.hidden + f.depth * (f.hidden + 1) * f.hidden + f.hidden  # and the sines' frequencies
    filters = network + long * (f.hidden + 2)  # decay and skip
    return matrices(mixer, dim) + gates + dim + gates * (mixer.kernel + 1) + filters


def convolved(mixer: LongConv, tokens: int) -> int:
    """Multiply-adds of one token with what is remembered."""
    return (mixer.order + 1) * mixer.channels * mixer.kernel + (mixer.order - 1) * mixer.channels * tokens
