"""Recording: what a decode step does is written down once and replayed in one call, as CUDA graphs do on a GPU.

While a `Tape` records, kernels are noted and not run, and any other work that torch is asked to do is an error: it would
be missing from the replay. Afterwards the buffers that passed between kernels are laid into one small arena, each
where nothing that still lives lies, so that a step's activations stay in the processor's cache.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from engine.embedded.kernels.library import Library, Op, address, pack

ALIGN = 64
HARMLESS = ("aten.empty", "aten.detach", "aten.alias", "prim.device")


class NotRecordable(Exception):
    """The model did something between its kernels that a replay would miss."""


class _OnlyViews(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 (torch's own signature)
        if not (func.is_view or str(func).startswith(HARMLESS)):
            raise NotRecordable(f"{func} is not one of our kernels")
        return func(*args, **(kwargs or {}))


@dataclass
class _Buffer:
    tensor: Tensor
    first: int
    last: int
    offset: int = 0

    @property
    def size(self) -> int:
        return -(-max(1, self.tensor.nbytes) // ALIGN) * ALIGN


class Tape:
    """What was recorded; `replay` runs it on what its input tensors hold by then, and returns the same tensor each time."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._ops: list[Op] = []
        self._buffers: list[Tensor] = []

    def note(self, op: Op) -> None:
        self._ops.append(op)

    def empty(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        self._buffers.append(torch.empty(shape, dtype=dtype))
        return self._buffers[-1]

    def record(self, step: Callable[[], Tensor]) -> None:
        with _OnlyViews():
            self.output = step()
        self._arena = _lay_out(self._ops, self._buffers, self.output)
        self._packed = pack(self._ops)
        self._address, self._count = address(self._packed), len(self._ops)
        self._buffers.clear()

    def replay(self) -> Tensor:
        self._library.run_packed(self._address, self._count)
        return self.output


def _lay_out(ops: list[Op], tensors: list[Tensor], output: Tensor) -> Tensor:
    """Gives every buffer but the output its place in the returned arena, and points the ops there."""
    kept = output.untyped_storage().data_ptr()
    buffers = sorted((_Buffer(t, len(ops), -1) for t in tensors if t.data_ptr() != kept), key=lambda b: b.tensor.data_ptr())
    bases = [b.tensor.data_ptr() for b in buffers]

    def owner(pointer: int) -> _Buffer | None:
        i = bisect_right(bases, pointer) - 1
        return buffers[i] if i >= 0 and pointer < bases[i] + buffers[i].tensor.nbytes else None

    for step, op in enumerate(ops):
        for b in filter(None, map(owner, op.pointers)):
            b.first, b.last = min(b.first, step), max(b.last, step)
    arena = torch.empty(_place(buffers) + ALIGN, dtype=torch.uint8)
    start = -(-arena.data_ptr() // ALIGN) * ALIGN
    for op in ops:
        op.pointers = [start + b.offset + p - b.tensor.data_ptr() if (b := owner(p)) else p for p in op.pointers]
    return arena


def _place(buffers: list[_Buffer]) -> int:
    """First fit in order of birth; returns the bytes needed."""
    placed: list[_Buffer] = []
    for b in sorted((b for b in buffers if b.last >= 0), key=lambda b: b.first):
        b.offset = 0
        for other in sorted((o for o in placed if o.last >= b.first and o.first <= b.last), key=lambda o: o.offset):
            if b.offset + b.size <= other.offset:
                break
            b.offset = max(b.offset, other.offset + other.size)
        placed.append(b)
    return max((b.offset + b.size for b in placed), default=0)
