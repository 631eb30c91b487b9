"""Recording: what a step does is written down once and replayed in one call, as CUDA graphs do on a GPU.

While a `Tape` records, kernels are noted and not run, and any other work that torch is asked to do is an error: it would
be missing from the replay. Afterwards the buffers that passed between kernels are laid into one small arena, each
where nothing that still lives lies, so that a step's activations stay in the processor's cache.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._C import DisableTorchFunction
from torch.overrides import TorchFunctionMode

from engine.embedded.kernels.fusion import fused
from engine.embedded.kernels.library import Library, Op, address, pack
from engine.embedded.step.capture import NotRecordable

ALIGN = 64
READS = ("item", "tolist", "__bool__", "__int__", "__float__", "numpy")  # a replay would keep the value of the recording


class _OnlyViews(TorchFunctionMode):
    """Lets torch describe tensors anew and nothing else. (A TorchDispatchMode sees deeper, but loads all of the compiler: a second.)"""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        given = {_storage(t) for t in _tensors(args)}
        result = func(*args, **(kwargs or {}))
        in_place = name.endswith("_") and not name.endswith("__")
        if in_place or name in READS or not {_storage(t) for t in _tensors(result)} <= given:
            raise NotRecordable(f"{name or func} is not one of our kernels")
        return result


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for v in value for t in _tensors(v)] if isinstance(value, tuple | list) else []


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


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
        self.live: Tensor | None = None

    def note(self, op: Op) -> None:
        self._ops.append(op)

    def empty(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        with DisableTorchFunction():
            self._buffers.append(torch.empty(shape, dtype=dtype))
        return self._buffers[-1]

    def record(self, step: Callable[[], Tensor]) -> None:
        """`step` runs the model and returns a tensor that a kernel has made."""
        with _OnlyViews():
            self.output = step()
        self._ops = fused(self._ops, self.output.data_ptr())
        for op in self._ops:
            op.live = 0 if self.live is None else self.live.data_ptr()
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
