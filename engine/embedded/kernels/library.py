"""The compiled kernels: found, loaded, and called with one Op after another, or with a whole recorded list of them."""

import ctypes
import os
import struct
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from time import perf_counter

from torch import Tensor

EMBED, RMS_NORM, ROTATE, QUANTIZE, LINEAR, REMEMBER, ATTEND, COMBINE, GATED, ACTIVATE, ADD, SCALE = range(12)
LAYER_NORM, GATHER, ARRANGE, ATTEND_WHOLE, BALANCE, MULTIPLY, CLAMP, HEAT, SOFTCAP = range(12, 21)
SCORE, ROUTE, DEAL, SPREAD, QUANTIZE_PAIRS, EXPERTS_UP, EXPERTS_DOWN, COLLECT, OPEN = range(21, 30)
EACH_HEAD, REMEMBER_LATENT, ATTEND_LATENT, COMBINE_LATENT = range(30, 34)
CONVOLVE, SCAN, RECUR, REPLACE, PRODUCT, SOFTPLUS, LOGISTIC, ADD_SCALED = range(34, 42)
CODES = 42
MAX_TAPS, MAX_STATE = 8, 64
PAGE, GROUP, SPLIT, MAX_DIM, MAX_LATENT, MAX_INPUTS, MAX_EXPERTS, LINEAR_ROWS = 16, 32, 256, 256, 1024, 8192, 1024, 128

OP = struct.Struct("=i13i2f13Q")  # op.h: struct Op
SIZES, FLOATS, POINTERS = 13, 2, 12

TILED_PATHS = ("bytes", "hot", "bf16", "attention")  # tiles_amx.h: TiledPath
LEVELS = ("avx2", "avx512_vnni", "avx512_bf16", "amx")  # native.cpp: LEVELS; a processor that has one has those before it


@dataclass(frozen=True)
class ByteRange:
    """What matrices of bytes may hold at a level (bytes.h), so that no sum overflows: how large an activation may be, and the sum of
    four weights of one sign that are added up in sixteen bits."""

    top_activation: int
    top_four: int


class Op:
    """A kernel's code, the tensors it points at, its sizes and its floats, as op.h lays them out."""

    __slots__ = ("code", "floats", "live", "pointers", "sizes")

    def __init__(self, code: int, tensors: Sequence[Tensor | None], sizes: Sequence[int], floats: Sequence[float] = ()) -> None:
        self.code = code
        self.pointers = [0 if t is None else t.data_ptr() for t in tensors]
        self.sizes = sizes
        self.floats = floats
        self.live = 0  # address of the number of rows that count; 0: all

    def changed(self, pointers: Sequence[int], sizes: Sequence[int]) -> "Op":
        """The same kernel on other memory."""
        op = Op(self.code, (), sizes, self.floats)
        op.pointers = list(pointers)
        return op

    def pack_into(self, buffer: bytearray, offset: int) -> None:
        sizes = (*self.sizes, *(0,) * (SIZES - len(self.sizes)))
        floats = (*self.floats, *(0.0,) * (FLOATS - len(self.floats)))
        pointers = (*self.pointers, *(0,) * (POINTERS - len(self.pointers)))
        OP.pack_into(buffer, offset, self.code, *sizes, *floats, *pointers, self.live)


class Library:
    """The shared object, and one pool of threads (the caller's is one of them). Not thread-safe: one caller at a time."""

    def __init__(self, library: ctypes.CDLL, threads: int, level: int) -> None:
        self._library, self._level = library, level
        self._pool = ctypes.c_void_p(library.stoa_pool(threads, level))
        # not at exit: the engine's thread may be at work until the very end
        weakref.finalize(self, library.stoa_close, self._pool).atexit = False
        self._buffer = bytearray(OP.size)
        self._one = address(self._buffer)

    @classmethod
    def open(cls, threads: int, level: str | None = None) -> "Library | None":
        """`level`: one of `levels()`, by default the best. None where there is none; ValueError where it is not among them."""
        names, library = levels(), _load()
        if library is None or not names:
            return None
        library.stoa_pool.restype = ctypes.c_void_p
        library.stoa_run.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
        library.stoa_run.restype = None
        library.stoa_close.argtypes = (ctypes.c_void_p,)
        return cls(library, threads, names.index(level or names[-1]))

    @property
    def level(self) -> str:
        return LEVELS[self._level]

    def row_bytes(self, inputs: int, format: int) -> int:
        """Size of one row of activations, as a matrix of that format wants it."""
        return self._library.stoa_row_bytes(self._level, inputs, format)

    @property
    def byte_range(self) -> ByteRange:
        return ByteRange(self._library.stoa_top_activation(self._level), self._library.stoa_top_four(self._level))

    @property
    def tiled(self) -> dict[str, int]:
        """How often the process has multiplied tiles (AMX), by what for."""
        self._library.stoa_path.restype = ctypes.c_int64
        return {name: self._library.stoa_path(i) for i, name in enumerate(TILED_PATHS)}

    def peak(self) -> float:
        """Multiplications and additions of bytes per second that one core's registers allow at this level: the best of some short loops."""
        self._library.stoa_most.restype = ctypes.c_int64
        best = 0.0
        for _ in range(50):
            began = perf_counter()
            best = max(best, self._library.stoa_most(self._level, 2000) / (perf_counter() - began))
        return best

    def run(self, op: Op) -> None:
        op.pack_into(self._buffer, 0)
        self._library.stoa_run(self._pool, self._one, 1)

    def run_packed(self, address: int, count: int) -> None:
        self._library.stoa_run(self._pool, address, count)


def levels() -> Sequence[str]:
    """The instruction sets that the kernels can use here, the best last. Empty where they were not built or the
    processor has none of them."""
    library = _load()
    return LEVELS[: library.stoa_levels()] if library else ()


def pack(ops: Sequence[Op]) -> bytearray:
    buffer = bytearray(OP.size * len(ops))
    for i, op in enumerate(ops):
        op.pack_into(buffer, i * OP.size)
    return buffer


def address(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def _load() -> ctypes.CDLL | None:
    here = Path(__file__).parent
    path = next((p for suffix in EXTENSION_SUFFIXES if (p := here / f"_native{suffix}").exists()), None)
    if path is None:
        return None
    library = ctypes.CDLL(os.fspath(path))
    layout = getattr(library, "stoa_layout", None)
    if layout is None or layout() != CODES << 16 | OP.size:
        raise RuntimeError(f"{path} was built from other sources: reinstall the package")
    return library
