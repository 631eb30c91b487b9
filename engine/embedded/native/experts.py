"""Mixtures of experts on the kernels: every expert's matrix packed behind the one before it. E experts, A chosen ones of each of T
tokens; N = T * A rows, sorted by expert. Which expert has which rows only the kernels know, so a recording serves any routing."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.embedded.kernels import library as k
from engine.embedded.kernels.packing import LANES, Packed, fits, pack_all, pad_inputs, pad_outputs
from engine.embedded.native.ops import Kernels, gate_of
from models.quant import Matrix, Weight, each, with_zeros
from models.spec import ExpertGroups, InputSigmoid, MoE, Router, Sigmoid, Softmax, SoftmaxOfTop, SparseMixer


class PackedExperts(nn.Module):
    def __init__(self, kernels: Kernels, spec: MoE, dim: int, prepare: Callable[[Weight], Weight]) -> None:
        super().__init__()
        e, f = spec.experts, spec.hidden
        self.fields = {"up": (e, 2 * f, dim), "down": (e, dim, f)}
        if spec.bias:
            self.fields |= {"up_bias": (e, 2 * f), "down_bias": (e, dim)}
        self.spec, self._kernels, self._prepare = spec, kernels, prepare
        self._matrices: dict[str, Packed] = {}
        self._biases: dict[str, Tensor] = {}

    def assign(self, field: str, value: Weight) -> None:
        """One expert after another, so that no more than one is ever unpacked."""
        change = self._beside if field.startswith("up") else lambda part: part
        if field.endswith("bias"):
            biases = [change(part.float()) for part in each(value) if isinstance(part, Tensor)]
            self._biases[field] = pad_outputs(torch.stack([bias for bias in biases if isinstance(bias, Tensor)], 1)).T.contiguous()
        else:
            self._matrices[field] = pack_all(value, lambda part: self._prepare(pad_inputs(change(part))))

    def packed(self, field: str) -> Packed | Tensor:
        return self._biases[field] if field.endswith("bias") else self._matrices[field]

    def restore(self, field: str, value: Packed | Tensor) -> None:
        if isinstance(value, Packed):
            self._matrices[field] = value
        else:
            self._biases[field] = value

    def _beside(self, part: Matrix) -> Matrix:
        """Sixteen rows of the gate, then the sixteen of up that they open. Behind the last of them rows of zeros, as many as the next
        matrix has inputs."""
        hidden = self.spec.hidden
        row_2F = torch.arange(2 * hidden).view(2, -1)
        missing = row_2F.new_full((2, -hidden % k.GROUP), 2 * hidden)
        order = torch.cat([row_2F, missing], 1).view(2, -1, LANES).transpose(0, 1).flatten()
        padded = part if fits(hidden) else with_zeros(part, 1)
        return padded[order] if isinstance(padded, Tensor) else padded.rows(order)

    def forward(self, x_TD: Tensor, experts_TA: Tensor, weights_TA: Tensor) -> Tensor:
        tokens, active = experts_TA.shape
        run, empty = self._kernels.run, self._kernels.empty
        place_TA = empty(tokens, active, dtype=torch.int32)
        jobs = empty(1 + 3 * _most_jobs(self.spec, tokens), dtype=torch.int32)
        run(k.DEAL, (experts_TA, place_TA, jobs), (tokens, active, self.spec.experts))
        scales_input = isinstance(self.spec.router, InputSigmoid)
        up, down = self._matrices["up"], self._matrices["down"]
        rows, size = self._rows(tokens * active, up)
        read = weights_TA if scales_input else None
        run(k.SPREAD, (x_TD, place_TA, read, rows), (tokens, up.inputs, up.format, size, x_TD.stride(0), active, x_TD.shape[1]))
        number, parameters = gate_of(self.spec.activation)
        h_NF = empty(tokens * active, down.inputs)
        self._multiply(k.EXPERTS_UP, up, "up_bias", (rows, h_NF, jobs), (tokens, size, number), parameters)
        rows, size = self._rows(tokens * active, down)
        run(k.QUANTIZE_PAIRS, (h_NF, rows), (tokens, down.inputs, down.format, size, active))
        y_ND = empty(tokens * active, down.outputs)
        self._multiply(k.EXPERTS_DOWN, down, "down_bias", (rows, y_ND, jobs), (tokens, size, 0), ())
        y_TD = empty(*x_TD.shape)
        run(k.COLLECT, (y_ND, place_TA, None if scales_input else weights_TA, y_TD), (*x_TD.shape, active, down.outputs))
        return y_TD

    def _rows(self, count: int, weight: Packed) -> tuple[Tensor, int]:
        size = self._kernels.library.row_bytes(weight.inputs, weight.format)
        return self._kernels.empty(count, size, dtype=torch.uint8), size

    def _multiply(
        self,
        code: int,
        weight: Packed,
        bias: str,
        io: tuple[Tensor, Tensor, Tensor],
        sizes: tuple[int, int, int],
        floats: tuple[float, ...],
    ) -> None:
        (rows, out, jobs), (tokens, size, number) = io, sizes
        tensors = (rows, weight.data, weight.scales, out, self._biases.get(bias), jobs)
        self._kernels.run(code, tensors, (tokens, weight.inputs, weight.outputs, weight.format, size, number), floats)


def _most_jobs(spec: MoE, tokens: int) -> int:
    return min(spec.experts, tokens * spec.active) + tokens * spec.active // k.LINEAR_ROWS


class Routing:
    """The ops around the experts."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels

    def score(self, x_TD: Tensor, weight_ED: Tensor, bias_E: Tensor | None) -> Tensor:
        logits_TE = self._kernels.empty(len(x_TD), len(weight_ED))
        self._kernels.run(k.SCORE, (x_TD, weight_ED, bias_E, logits_TE), (*logits_TE.shape, x_TD.shape[1], x_TD.stride(0)))
        return logits_TE

    def route(self, spec: MoE, logits_TE: Tensor, correction_E: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of equal scores the first expert's counts. experts_TA int32."""
        tokens, experts = logits_TE.shape
        experts_TA = self._kernels.empty(tokens, spec.active, dtype=torch.int32)
        weights_TA = self._kernels.empty(tokens, spec.active)
        sizes, floats = _numbers(spec.router)
        self._kernels.run(k.ROUTE, (logits_TE, correction_E, experts_TA, weights_TA), (tokens, experts, spec.active, *sizes), floats)
        return experts_TA, weights_TA

    def open(self, x_TD: Tensor, logits_T1: Tensor) -> Tensor:
        y_TD = self._kernels.empty(*x_TD.shape)
        self._kernels.run(k.OPEN, (x_TD, logits_T1, y_TD), (*x_TD.shape, x_TD.stride(0), logits_T1.stride(0)))
        return y_TD


def _numbers(router: Router) -> tuple[tuple[int, ...], tuple[float, float]]:
    """Of experts.h: router, renormalise, groups; scale, jitter."""
    match router:
        case Softmax(renormalise=renormalise, groups=groups, scale=scale):
            return (0, renormalise, *_groups(groups)), (scale, 0.0)
        case Sigmoid(renormalise=renormalise, groups=groups, scale=scale):
            return (1, renormalise, *_groups(groups)), (scale, 0.0)
        case SoftmaxOfTop():
            return (2,), (1.0, 0.0)
        case InputSigmoid():
            return (3,), (1.0, 0.0)
        case SparseMixer(jitter=jitter):
            return (4,), (1.0, jitter)


def _groups(groups: ExpertGroups | None) -> tuple[int, int, bool]:
    return (0, 0, False) if groups is None else (groups.count, groups.active, groups.score == "top2")
