"""Masks token by token: may the query at one position see the key at another?"""

import torch
from torch import Tensor

from models.spec import Causal, Chunked, Fixed, Full, GroupedWindow, Mask, Neighbourhood, Strided, Window


def may_see(mask: Mask, query: Tensor, key: Tensor) -> Tensor:
    """bool, of the shape that the two position tensors broadcast to; with windows of several sizes, one more axis before
    the last two: G, the key/value heads. Both need two axes at least: [..., Q, 1] and [..., 1, M]."""
    back = query - key
    match mask:
        case Full():
            return torch.ones_like(back, dtype=torch.bool)
        case Neighbourhood(distance=distance):
            return back.abs() <= distance
        case Causal():
            return back >= 0
        case Window(size=size):
            return (back >= 0) & (back < size)
        case Chunked(size=size):
            return (back >= 0) & (query // size == key // size)
        case Strided(local=local, stride=stride):
            return (back >= 0) & ((back < local) | (back % stride == 0))
        case Fixed(size=size, summary=summary):
            return (back >= 0) & ((query // size == key // size) | (key % size >= size - summary))
        case GroupedWindow(sizes=sizes):
            size_G11 = torch.tensor(sizes, device=back.device)[:, None, None]
            return (back >= 0).unsqueeze(-3) & (back.unsqueeze(-3) < size_G11)
