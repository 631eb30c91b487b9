"""The kernels as functions of tensors: run as they are called, or noted on a tape."""

from collections.abc import Callable, Sequence
from math import inf

import torch
from torch import Tensor

from engine.embedded.kernels import library as k
from engine.embedded.kernels.packing import Bytes, Packed
from engine.embedded.kernels.tape import Tape
from engine.embedded.step.inputs import Shape
from models.spec import Activation, Clamped, Temperature

ACTIVATION: dict[Activation, int] = {"silu": 0, "gelu_tanh": 1, "gelu": 2, "relu": 3, "tanh": 4, "quick_gelu": 5, "relu2": 6}
CLAMPED = 7


def gate_of(activation: Activation) -> tuple[int, tuple[float, ...]]:
    """The kernels' number of an activation behind a gate, and its parameters."""
    match activation:
        case Clamped(limit=limit, alpha=alpha):
            return CLAMPED, (limit, alpha)
        case name:
            return ACTIVATION[name], ()


class Kernels:
    """Runs kernels as they are called, or notes them on a tape. Every method returns a new contiguous float32 tensor."""

    def __init__(self, library: k.Library) -> None:
        self.library = library
        self._tape: Tape | None = None

    def record(self, step: Callable[[], Tensor]) -> Tape:
        """Implements capture.Recorder's."""
        self._tape = Tape(self.library)
        try:
            self._tape.record(step)
            return self._tape
        finally:
            self._tape = None

    def watch(self, live: Tensor) -> None:
        """int32 [1], where a replay finds how many of the recorded rows count."""
        if self._tape is not None:
            self._tape.live = live

    def run(self, code: int, tensors: Sequence[Tensor | None], sizes: Sequence[int], floats: Sequence[float] = ()) -> None:
        op = k.Op(code, tensors, sizes, floats)
        if self._tape is None:
            self.library.run(op)
        else:
            self._tape.note(op)

    def empty(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype) if self._tape is None else self._tape.empty(*shape, dtype=dtype)

    def rms_norm(self, x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
        y = self.empty(*x.shape)
        self.run(k.RMS_NORM, (x, weight, y), (*_rows(x), _step(weight)), (eps,))
        return y

    def layer_norm(self, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        y = self.empty(*x.shape)
        self.run(k.LAYER_NORM, (x, weight, bias, y), (*_rows(x), _step(weight)), (eps,))
        return y

    def rows(self, table_YD: Tensor, rows_T: Tensor) -> Tensor:
        """Of a float32 or bf16 table."""
        x_TD = self.empty(len(rows_T), table_YD.shape[1])
        self.run(k.GATHER, (rows_T, table_YD, x_TD), (*x_TD.shape, 8 * table_YD.itemsize))
        return x_TD

    def rotate(self, x_THK: Tensor, table_PR: Tensor, positions_T: Tensor) -> Tensor:
        y_THK = self.empty(*x_THK.shape)
        sizes = (*x_THK.shape, x_THK.stride(0), x_THK.stride(1), table_PR.shape[1])
        self.run(k.ROTATE, (x_THK, table_PR, positions_T, y_THK), sizes)
        return y_THK

    def gated(self, x_T2F: Tensor, activation: Activation) -> Tensor:
        tokens, hidden = x_T2F.shape[0], x_T2F.shape[1] // 2
        y_TF = self.empty(tokens, hidden)
        number, parameters = gate_of(activation)
        self.run(k.GATED, (x_T2F, y_TF), (tokens, hidden, number, x_T2F.stride(0)), parameters)
        return y_TF

    def activate(self, x_TF: Tensor, activation: Activation) -> Tensor:
        y_TF = self.empty(*x_TF.shape)
        self.run(k.ACTIVATE, (x_TF, y_TF), (*x_TF.shape, _plain(activation), x_TF.stride(0)))
        return y_TF

    def add(self, x_TD: Tensor, y_TD: Tensor) -> Tensor:
        z_TD = self.empty(*x_TD.shape)
        self.run(k.ADD, (x_TD, y_TD, z_TD), (*x_TD.shape, x_TD.stride(0), y_TD.stride(0)))
        return z_TD

    def add_scaled(self, x_TD: Tensor, y_TD: Tensor, scales_H: Tensor) -> Tensor:
        z_TD = self.empty(*x_TD.shape)
        self.run(k.ADD_SCALED, (x_TD, y_TD, scales_H, z_TD), (*x_TD.shape, x_TD.stride(0), y_TD.stride(0), len(scales_H)))
        return z_TD

    def product(self, x_TD: Tensor, y_TD: Tensor, activation: Activation | None = None) -> Tensor:
        z_TD = self.empty(*x_TD.shape)
        kind = -1 if activation is None else _plain(activation)
        self.run(k.PRODUCT, (x_TD, y_TD, z_TD), (*x_TD.shape, x_TD.stride(0), y_TD.stride(0), kind))
        return z_TD

    def softplus(self, x_TD: Tensor, bias_D: Tensor | None, least: float = 0.0, most: float | None = None) -> Tensor:
        y_TD = self.empty(*x_TD.shape)
        self.run(k.SOFTPLUS, (x_TD, bias_D, y_TD), (*x_TD.shape, x_TD.stride(0)), (least, inf if most is None else most))
        return y_TD

    def sigmoid(self, x_TD: Tensor, factor: float = 1.0) -> Tensor:
        y_TD = self.empty(*x_TD.shape)
        self.run(k.LOGISTIC, (x_TD, y_TD), (*x_TD.shape, x_TD.stride(0)), (factor,))
        return y_TD

    def scale(self, x_TD: Tensor, factor: float) -> Tensor:
        y_TD = self.empty(*x_TD.shape)
        self.run(k.SCALE, (x_TD, y_TD), (*x_TD.shape, x_TD.stride(0)), (factor,))
        return y_TD

    def softcap(self, x_TD: Tensor, cap: float) -> Tensor:
        y_TD = self.empty(*x_TD.shape)
        self.run(k.SOFTCAP, (x_TD, y_TD), (*x_TD.shape, x_TD.stride(0)), (cap,))
        return y_TD

    def clamp(self, x_THK: Tensor, most: float) -> Tensor:
        y_THK = self.empty(*x_THK.shape)
        self.run(k.CLAMP, (x_THK, y_THK), _rows(x_THK), (most,))
        return y_THK

    def heat(self, x_THK: Tensor, spec: Temperature, positions_T: Tensor) -> Tensor:
        y_THK = self.empty(*x_THK.shape)
        self.run(k.HEAT, (x_THK, y_THK, positions_T), _rows(x_THK), (spec.floor, spec.scale))
        return y_THK

    def embed(self, tokens_T: Tensor, weight: Packed, dim: int) -> Tensor:
        """The first `dim` columns of rows of the matrix."""
        x_TD = self.empty(len(tokens_T), dim)
        self.run(k.EMBED, (tokens_T, weight.data, weight.scales, x_TD), (*x_TD.shape, weight.format, weight.inputs))
        return x_TD

    def linear(self, x_TI: Tensor, weight: Packed, bias: Tensor | None) -> Tensor:
        """y_TO, O padded to a multiple of 16. Columns of the matrix beyond x's are padding."""
        tokens, row = len(x_TI), self.library.row_bytes(weight.inputs, weight.format)
        rows = self.empty(tokens, row, dtype=torch.uint8)
        self.run(k.QUANTIZE, (x_TI, rows), (tokens, weight.inputs, weight.format, row, x_TI.stride(0), x_TI.shape[1]))
        y_TO = self.empty(tokens, weight.outputs)
        self.run(k.LINEAR, (rows, weight.data, weight.scales, y_TO, bias), (tokens, weight.inputs, weight.outputs, weight.format, row))
        return y_TO

    def multiply(self, x_TI: Tensor, weight: Bytes, bias: Tensor | None) -> Tensor:
        """y_TO, O padded to a multiple of 16."""
        tokens, row = len(x_TI), weight.row_bytes
        rows = self.empty(tokens, row, dtype=torch.uint8)
        self.run(k.BALANCE, (x_TI, rows, weight.balance), (tokens, weight.inputs, row, x_TI.stride(0), -1))
        y_TO = self.empty(tokens, weight.outputs)
        self.run(k.MULTIPLY, (rows, weight.data, weight.scales, y_TO, bias, weight.starts), (tokens, weight.inputs, weight.outputs, row))
        return y_TO


def _plain(activation: Activation) -> int:
    if isinstance(activation, Clamped):
        raise ValueError("the clamped activation needs a gate: gated must be true")
    return ACTIVATION[activation]


def _rows(x: Tensor) -> tuple[int, ...]:
    """Of [A, D] or [A, B, D]: A, D, B and the strides of A and B."""
    return (*x.shape, 1, x.stride(0), 0) if x.dim() == 2 else (x.shape[0], x.shape[2], x.shape[1], x.stride(0), x.stride(1))


def _step(weight: Tensor | None) -> int:
    """From one head's weights to the next one's."""
    return weight.shape[1] if weight is not None and weight.dim() == 2 else 0


class Recordings:
    """Implements capture.Recorder: one recording of the largest step of each kind serves all, as kernels skip the rows
    beyond the step's own."""

    def __init__(self, kernels: Kernels) -> None:
        self.record = kernels.record

    def fit(self, shape: Shape, most: Shape) -> Shape | None:
        """None where inputs of any length are read."""
        if shape.reads:
            return None
        return most._replace(tokens=most.rows) if shape.tokens == shape.rows else most
