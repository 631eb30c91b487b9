"""Small integers packed into words, and groups of any size as the groups of 32 or 16 that a `Grouped` has."""

import torch
from torch import Tensor

from models.formats.packed import Parts, plain
from models.quant import GROUP, Grouped, Weight, WeightsError

INTS = (torch.int32, torch.int64)


def words(count: int, bits: int) -> int:
    """How many words of 32 bits hold `count` numbers in a row."""
    return -(-count * bits // 32)


def unpack(words: Tensor, bits: int, axis: int) -> Tensor:
    """uint8, `axis` 32 / bits times as long. `words`: int32, lowest bits first; numbers may lie across two words."""
    w_NW = words.movedim(axis, -1).contiguous()
    if 32 % bits == 0:
        shifts = torch.arange(0, 32, bits, dtype=torch.int32)
        q = (w_NW[..., None] >> shifts) & (2**bits - 1)
    else:
        stream = ((w_NW[..., None] >> torch.arange(32, dtype=torch.int32)) & 1).flatten(-2)
        whole = stream.shape[-1] // bits * bits
        q = (stream[..., :whole].unflatten(-1, (-1, bits)) << torch.arange(bits, dtype=torch.int32)).sum(-1)[..., None]
    return q.flatten(-2).to(torch.uint8).movedim(-1, axis)


def by_group(parts: Parts, name: str, inputs: int, groups: int) -> Tensor | None:
    """The group of each input, as the part `name` says; None where groups are inputs in a row, as without that part. Raises
    WeightsError where there is no such group, and where inputs in a row cannot be shared out."""
    group_I = parts.find(name, INTS, inputs)
    shared = groups > 0 and inputs % groups == 0
    if group_I is None or bool((group_I == -1).all()) or (shared and torch.equal(group_I.long(), _in_a_row(inputs, groups))):
        if not shared:
            raise WeightsError(f"{plain(parts.stem)} has {inputs} inputs, which {groups} groups cannot share")
        return None
    if int(group_I.min()) < 0 or int(group_I.max()) >= groups:
        raise parts.wrong(name, f"must lie between 0 and {groups - 1}, the last group")
    return group_I.long()


def _in_a_row(inputs: int, groups: int) -> Tensor:
    return torch.arange(inputs) // (inputs // groups)


def grouped(q_OI: Tensor, scale_OG: Tensor, zero_OG: Tensor, bits: int) -> Weight:
    """(q - zero) * scale, each number of scale and zero for I / G inputs in a row. Kept in groups of 32 or 16 where those divide
    a group and 32 divides the inputs, else float32."""
    inputs, groups = q_OI.shape[1], scale_OG.shape[1]
    size = inputs // groups
    scale_OG, low_OG = scale_OG.float(), -scale_OG.float() * zero_OG.float()
    if size % (GROUP // 2) or inputs % GROUP:
        q_OGS = q_OI.unflatten(1, (groups, -1)).float()
        return (q_OGS * scale_OG[..., None] + low_OG[..., None]).flatten(1)
    times = size // (GROUP // 2 if size % GROUP else GROUP)
    return Grouped(4 if bits <= 4 else 8, q_OI, scale_OG.repeat_interleave(times, 1), low_OG.repeat_interleave(times, 1))
