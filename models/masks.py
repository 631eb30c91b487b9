"""Masks token by token: may the query at one position see the key at another?"""

from math import log

import torch
from torch import Tensor

from models.spec import (
    BlockCausal,
    BlockSparse,
    Causal,
    Chunked,
    Fixed,
    Full,
    GridWindow,
    GroupedWindow,
    Hubs,
    Mask,
    Neighbourhood,
    Ring,
    Strided,
    Window,
)


def may_see(mask: Mask, query: Tensor, key: Tensor, length: int | None = None) -> Tensor:
    """bool, of the shape that the two position tensors broadcast to; with windows of several sizes, one more axis before
    the last two: G, the key/value heads. Both need two axes at least: [..., Q, 1] and [..., 1, M]. `length`: tokens of the
    whole sequence, for masks that depend on it."""
    back = query - key
    match mask:
        case Full() | GridWindow():  # of the latter each square comes as a sequence of its own (models/stacks/tower.py)
            return torch.ones_like(back, dtype=torch.bool)
        case Neighbourhood(distance=distance):
            return back.abs() <= distance
        case BlockCausal(size=size):
            return query // size >= key // size
        case Causal():
            return back >= 0
        case Window(size=size):
            return (back >= 0) & (back < size)
        case Chunked(size=size, before=before):
            return (back >= 0) & (query // size - key // size <= before)
        case Strided(local=local, stride=stride):
            return (back >= 0) & ((back < local) | (back % stride == 0))
        case Fixed(size=size, summary=summary):
            return (back >= 0) & ((query // size == key // size) | (key % size >= size - summary))
        case GroupedWindow(sizes=sizes):
            size_G11 = torch.tensor(sizes, device=back.device)[:, None, None]
            return (back >= 0).unsqueeze(-3) & (back.unsqueeze(-3) < size_G11)
        case BlockSparse(size=size):
            q, k, last = query // size, key // size, last_block(mask, known(mask, length))
            return torch.full_like(back, last == 0, dtype=torch.bool) | at_ends(q, last) | at_ends(k, last) | ((q - k).abs() <= 1)
        case Ring():
            return ring_count(mask, query, key, known(mask, length)) > 0
        case Hubs():
            raise ValueError(f"{mask} depends on which tokens are global: ask `through_hubs`")


def through_hubs(global_query: Tensor, global_key: Tensor) -> Tensor:
    """The same of the mask Hubs, for bools that say which tokens are global."""
    return global_query | global_key


def ahead(query: Tensor, key: Tensor, end: Tensor) -> Tensor:
    """bool, of the shape that all three broadcast to: keys that a query sees besides those of its mask, up to position `end`."""
    return (key > query) & (key <= end)


def ring_count(mask: Ring, query: Tensor, key: Tensor, length: int) -> Tensor:
    """int64: how many of the chunks that a query looks at are a key's. One lies on both sides where there are few."""
    chunks = padded(mask, length) // mask.size
    if chunks <= 1:
        return torch.ones_like(query - key)
    ahead = key // mask.size - query // mask.size
    return (mask.after - ahead).div(chunks, rounding_mode="floor") - (-mask.before - 1 - ahead).div(chunks, rounding_mode="floor")


def padded(mask: Ring, length: int) -> int:
    """How long a sequence counts as being."""
    return length if length <= mask.least else -(-length // mask.multiple) * mask.multiple


def log_count(mask: Mask, query: Tensor, key: Tensor, length: int) -> Tensor | None:
    """To be added to the scores: the logarithm of how many times a key that is seen counts. None: once, all of them."""
    match mask:
        case BlockSparse(size=size, random=random) if last_block(mask, length):
            repeated = (key < size) & ~at_ends(query // size, last_block(mask, length))
            return torch.where(repeated, log(1 + random), 0.0)
        case Ring():
            return ring_count(mask, query, key, length).log()
        case _:
            return None


def last_block(mask: BlockSparse, length: int) -> int:
    """Its number; 0 in a sequence so short that all see all."""
    return 0 if length <= (5 + 2 * mask.random) * mask.size else (length - 1) // mask.size


def at_ends(block: Tensor, last: int) -> Tensor:
    return (block == 0) | (block == last)


def known(mask: Mask, length: int | None) -> int:
    if length is None:
        raise ValueError(f"{mask} depends on the length of the sequence")
    return length
