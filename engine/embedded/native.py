"""The backend with compiled CPU kernels: packed 4-bit, 8-bit and bf16 matrices, bf16 pages, float32 in between.

A row's numbers never depend on the rows beside it nor on how its prompt was cut into steps (see the kernels), so the
same request gives the same tokens in any company.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from engine.embedded.inputs import Shape
from engine.embedded.kernels import library as k
from engine.embedded.kernels.packing import Bytes, Packed, fits, pack
from engine.embedded.kernels.tape import Tape
from models.batch import Attend, Batch, Latent
from models.ops import Ops
from models.quant import Weight
from models.spec import FFN, MLP, Activation, Arch, Attention, Causal, Full, LatentAttention, Layer, MoE, Neighbourhood, Paged, Rope, Window

ACTIVATION: dict[Activation, int] = {"silu": 0, "gelu_tanh": 1, "gelu": 2, "relu": 3, "tanh": 4}


def supports(arch: Arch) -> bool:
    """Can every layer of `arch` run on these kernels?"""
    plain = arch.position is None and arch.embed_norm is None and arch.embed_dim is None
    return plain and fits(arch.dim) and all(fitting(layer) and layer.norm.kind == "rms" for layer in arch.layers)


def fitting(layer: Layer) -> bool:
    """Whether its sizes and its activation are such as kernels exist for."""
    return isinstance(layer.mixer, Attention) and _fitting_mixer(layer.mixer) and _fitting_ffn(layer.ffn)


def _fitting_mixer(m: Attention) -> bool:
    return (
        m.head_dim % 16 == 0
        and m.head_dim <= k.MAX_DIM
        and (m.position is None or (isinstance(m.position, Rope) and m.position.dim % 2 == 0))
        and fits(m.heads * m.head_dim)
        and isinstance(m.mask, Causal | Window | Full | Neighbourhood)
        and not m.sinks
        and m.temperature is None
        and m.clip is None
        and (m.qk_norm is None or (m.qk_norm.norm.kind == "rms" and m.qk_norm.over != "each_head"))
    )


def _fitting_ffn(ffn: FFN) -> bool:
    return isinstance(ffn, MLP) and fits(ffn.hidden) and ffn.activation in ACTIVATION


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
        x_ABD = x[:, None] if x.dim() == 2 else x
        y = self.empty(*x.shape)
        self.run(k.RMS_NORM, (x, weight, y), (*x_ABD.shape, x_ABD.stride(0), x_ABD.stride(1)), (eps,))
        return y

    def layer_norm(self, x_TD: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        y_TD = self.empty(*x_TD.shape)
        self.run(k.LAYER_NORM, (x_TD, weight, bias, y_TD), x_TD.shape, (eps,))
        return y_TD

    def gather(self, rows_T: Tensor, table_YD: Tensor) -> Tensor:
        """Rows of a float32 or bf16 table."""
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
        self.run(k.GATED, (x_T2F, y_TF), (tokens, hidden, ACTIVATION[activation]))
        return y_TF

    def activate(self, x_TF: Tensor, activation: Activation) -> Tensor:
        y_TF = self.empty(*x_TF.shape)
        self.run(k.ACTIVATE, (x_TF, y_TF), (*x_TF.shape, ACTIVATION[activation]))
        return y_TF

    def add(self, x_TD: Tensor, y_TD: Tensor) -> Tensor:
        z_TD = self.empty(*x_TD.shape)
        self.run(k.ADD, (x_TD, y_TD, z_TD), x_TD.shape)
        return z_TD

    def scale(self, x_TD: Tensor, factor: float) -> Tensor:
        y_TD = self.empty(*x_TD.shape)
        self.run(k.SCALE, (x_TD, y_TD), x_TD.shape, (factor,))
        return y_TD

    def embed(self, tokens_T: Tensor, weight: Packed) -> Tensor:
        x_TD = self.empty(len(tokens_T), weight.inputs)
        self.run(k.EMBED, (tokens_T, weight.data, weight.scales, x_TD), (len(tokens_T), weight.inputs, weight.format))
        return x_TD

    def linear(self, x_TI: Tensor, weight: Packed, bias: Tensor | None) -> Tensor:
        """y_TO, O padded to a multiple of 16."""
        tokens, row = len(x_TI), self.library.row_bytes(weight.inputs, weight.format)
        rows = self.empty(tokens, row, dtype=torch.uint8)
        self.run(k.QUANTIZE, (x_TI, rows), (tokens, weight.inputs, weight.format, row, x_TI.stride(0)))
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


class Recordings:
    """Implements capture.Recorder: one recording of the largest step of each kind serves all, as kernels skip the rows
    beyond the step's own."""

    def __init__(self, kernels: Kernels) -> None:
        self.record = kernels.record

    def fit(self, shape: Shape, most: Shape) -> Shape:
        return most._replace(tokens=most.rows) if shape.tokens == shape.rows else most


class PackedLinear(nn.Module):
    def __init__(self, kernels: Kernels, d_in: int, d_out: int, bias: bool, prepare: Callable[[Weight], Weight]) -> None:
        super().__init__()
        self.fields = {"weight": (d_out, d_in)} | ({"bias": (d_out,)} if bias else {})
        self.d_out, self._kernels, self._prepare = d_out, kernels, prepare
        self._weight: Packed
        self._bias: Tensor | None = None

    def assign(self, field: str, value: Weight) -> None:
        if field == "weight":
            self._weight = pack(self._prepare(value))
        elif isinstance(value, Tensor):
            missing = -self.d_out % 16
            self._bias = torch.cat([value.float(), torch.zeros(missing)])

    def forward(self, x_TI: Tensor) -> Tensor:
        y_TO = self._kernels.linear(x_TI, self._weight, self._bias)
        return y_TO if y_TO.shape[1] == self.d_out else y_TO[:, : self.d_out]


class PackedEmbedding(PackedLinear):
    """The tied head multiplies by the matrix that the embedding reads rows of."""

    def __init__(self, kernels: Kernels, vocab: int, dim: int, prepare: Callable[[Weight], Weight]) -> None:
        super().__init__(kernels, dim, vocab, False, prepare)

    def forward(self, x_TI: Tensor) -> Tensor:
        return self._kernels.embed(x_TI, self._weight)

    def logits(self, x_SD: Tensor) -> Tensor:
        return super().forward(x_SD)


class PagedAttention:
    """The leaf: owns the pages of one layer and no weight. Keys [P, G, K, page], values [P, G, page, K], bf16."""

    def __init__(self, kernels: Kernels, spec: Attention, pages: int, group: Paged) -> None:
        g, d = spec.kv_heads, spec.head_dim
        self._kernels, self._spec, self._group = kernels, spec, group
        # Fresh memory: the operating system gives pages when they are first written.
        self.keys_PGKT = torch.empty(pages, g, d, k.PAGE, dtype=torch.bfloat16)
        self.values_PGTK = torch.empty(pages, g, k.PAGE, d, dtype=torch.bfloat16)

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, sinks_H: Tensor | None = None) -> Tensor:
        spec, run = self._spec, self._kernels.run
        table_SW = batch.pages[self._group]
        tokens, (sequences, width) = len(q_THK), table_SW.shape
        g, d, h = spec.kv_heads, spec.head_dim, spec.heads
        strides = (k_TGK.stride(0), k_TGK.stride(1), v_TGK.stride(0), v_TGK.stride(1))
        where = (table_SW, batch.starts_S1, batch.cached_S)
        self._kernels.watch(batch.starts_S1[-1:])
        run(k.REMEMBER, (k_TGK, v_TGK, self.keys_PGKT, self.values_PGTK, *where), (sequences, g, d, width, *strides, tokens))
        out_THK = self._kernels.empty(tokens, h, d)
        splits = -(-width * k.PAGE // k.SPLIT) if tokens == sequences else 0
        partial = self._kernels.empty(tokens * h, splits, 16 + d) if splits else None
        sizes = (sequences, g, d, width, q_THK.stride(0), q_THK.stride(1), h, spec.mask.reach or 0, splits)
        floats = (d**-0.5 if spec.scale is None else spec.scale, spec.softcap or 0.0)
        run(k.ATTEND, (q_THK, self.keys_PGKT, self.values_PGTK, *where, out_THK, partial), sizes, floats)
        if partial is not None:
            run(k.COMBINE, (partial, batch.cached_S, out_THK), (sequences, h, d, splits))
        return out_THK


class NativeBackend:
    """`pages`: how many pages each cache layout has. `prepare` may quantize a weight before it is packed."""

    def __init__(self, library: k.Library, pages: Mapping[Paged, int], prepare: Callable[[Weight], Weight] = lambda w: w) -> None:
        self.kernels = kernels = Kernels(library)
        self._pages, self._prepare = pages, prepare
        self.ops = Ops(
            rms_norm=kernels.rms_norm,
            rotate=kernels.rotate,
            gated=kernels.gated,
            activate=kernels.activate,
            add=kernels.add,
            scale=kernels.scale,
        )
        self.leaves: dict[str, PagedAttention] = {}

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        return PackedEmbedding(self.kernels, vocab, dim, self._prepare)

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: str = "column") -> nn.Module:
        return PackedLinear(self.kernels, d_in, sum(d_outs), bias, self._prepare)

    def attend(self, name: str, spec: Attention) -> Attend:
        group = Paged(per_token=((spec.kv_heads, spec.head_dim),) * 2, reach=spec.mask.reach)
        self.leaves[name] = leaf = PagedAttention(self.kernels, spec, self._pages[group], group)
        return leaf

    def per_head(self, name: str, heads: int, d_in: int, d_out: int) -> nn.Module:
        raise NotImplementedError(f"{name}: latent attention runs on the torch backend only")

    def latent(self, name: str, spec: LatentAttention) -> Latent:
        raise NotImplementedError(f"{name}: latent attention runs on the torch backend only")

    def experts(self, name: str, spec: MoE, dim: int) -> nn.Module:
        raise NotImplementedError(f"{name}: `supports` lets no mixture of experts through")
