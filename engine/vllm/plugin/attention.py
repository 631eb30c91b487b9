"""vLLM's attention layers as `Attend` and `Latent`: they own the pages, and know each by its layer's name."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from vllm.config import VllmConfig
from vllm.model_executor.layers.attention import Attention as PagedAttention
from vllm.model_executor.layers.attention import MLAAttention
from vllm.model_executor.layers.attention.chunked_local_attention import ChunkedLocalAttention
from vllm.model_executor.layers.linear import ColumnParallelLinear
from vllm.platforms import current_platform
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

from engine.vllm.plugin.inexpressible import Inexpressible
from models.batch import Batch, LatentUp
from models.quant import Weight, dense
from models.reference import expanded, latent_scale
from models.score_bias import PLAIN, Scoring, scale_of, slopes
from models.spec import Alibi, Attention, Causal, Chunked, Disentangled, LatentAttention, RelativeBias, Window


class Attend(nn.Module):
    """Implements models.batch.Attend for one rank's heads. Heads whose size vLLM's kernels do not have are widened with zeros."""

    def __init__(self, name: str, spec: Attention, slopes_H: list[float] | None, config: VllmConfig) -> None:
        super().__init__()
        self.fields: dict[str, tuple[int, ...]] = {}
        _refuse(name, spec)
        self.width = _supported(name, spec.head_dim)
        self.sinks_H = torch.zeros(spec.heads, dtype=torch.get_default_dtype()) if spec.sinks else None
        self.layer = _layer(name, spec, self.width, slopes_H, self.sinks_H, config)

    def assign(self, field: str, value: Weight) -> None:
        """A leaf without fields: what vLLM's layer owns is nobody else's to fill."""

    def take(self, sinks_H: Tensor) -> None:
        """Sinks, once they are loaded."""
        cast(Tensor, self.sinks_H).copy_(sinks_H)

    def forward(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
        """Values may be narrower than keys."""
        q_TO, k_TO, v_TO = (self._wide(t).flatten(1) for t in (q_THK, k_TGK, v_TGK))
        return self.layer(q_TO, k_TO, v_TO).unflatten(1, (-1, self.width))[..., : v_TGK.shape[-1]]

    def _wide(self, x_THK: Tensor) -> Tensor:
        return x_THK if x_THK.shape[-1] == self.width else F.pad(x_THK, (0, self.width - x_THK.shape[-1]))


def slopes_of(spec: Attention, rank: int, ways: int) -> list[float] | None:
    """ALiBi's, of one rank's heads; `spec` has all."""
    if not isinstance(spec.position, Alibi):
        return None
    return slopes(spec, torch.device("cpu")).chunk(ways)[rank].tolist()


def _refuse(name: str, spec: Attention) -> None:
    if not isinstance(spec.mask, Causal | Window | Chunked) or (isinstance(spec.mask, Chunked) and spec.mask.before):
        raise Inexpressible(name, f"attention with the mask {spec.mask}")
    if isinstance(spec.mask, Chunked) and (spec.sinks or spec.softcap):
        raise Inexpressible(name, "attention in chunks with sinks or a softcap")
    if isinstance(spec.position, RelativeBias | Disentangled):
        raise Inexpressible(name, f"attention with {type(spec.position).__name__} positions")


def _supported(name: str, head_dim: int) -> int:
    """The smallest head size, from `head_dim` on, that vLLM's kernels have here."""
    if not current_platform.is_cpu():
        return -(-head_dim // 8) * 8
    for size in sorted(CPUAttentionBackend.get_supported_head_sizes()):
        if size >= head_dim:
            return size
    raise Inexpressible(name, f"attention with heads of {head_dim} on a CPU")


def _layer(
    name: str, spec: Attention, width: int, slopes_H: list[float] | None, sinks_H: Tensor | None, config: VllmConfig
) -> PagedAttention:
    options = {"num_kv_heads": spec.kv_heads, "alibi_slopes": slopes_H, "cache_config": config.cache_config}
    options |= {"quant_config": config.quant_config, "prefix": layer_name(name)}
    match spec.mask:
        case Chunked(size=size):
            return ChunkedLocalAttention(spec.heads, width, scale_of(spec), size, **options)
        case mask:
            options |= {"logits_soft_cap": spec.softcap, "per_layer_sliding_window": mask.reach}
            if sinks_H is not None:
                options["sinks"] = sinks_H
            return PagedAttention(spec.heads, width, scale_of(spec), **options)


def layer_name(name: str) -> str:
    """vLLM reads the layer's number from a name, which must have one number only: layers.3.mixer.1 is the second of two mixers."""
    head, _, rest = name.partition(".mixer")
    return f"{head}.mixer{rest.replace('.', '_')}.attend"


class Latent(nn.Module):
    """Implements models.batch.Latent. Where vLLM runs the model with MLA, its layer chooses the form and reads the heads' matrices from
    one `kv_b_proj`; elsewhere (VLLM_MLA_DISABLE, or a kind of model that vLLM does not count as MLA) keys and values are made for every
    head before they are kept."""

    def __init__(self, name: str, spec: LatentAttention, ways: int, config: VllmConfig) -> None:
        super().__init__()
        if not isinstance(spec.mask, Causal):
            raise Inexpressible(name, f"latent attention with the mask {spec.mask}")
        self.spec, self.fields = spec, dict[str, tuple[int, ...]]()
        prefix = f"{layer_name(name)}.kv_b_proj"
        outputs = spec.heads * ways * (spec.nope_dim + spec.value_dim)
        self.up = ColumnParallelLinear(spec.kv_rank, outputs, bias=False, prefix=prefix, return_bias=config.model_config.use_mla)
        self.attend = None if config.model_config.use_mla else Attend(name, expanded(spec), None, config)
        self.layer = _mla(name, spec, self.up, config) if config.model_config.use_mla else None

    def assign(self, field: str, value: Weight) -> None:
        """As in `Attend`."""

    def take(self, keys: "HeadMatrices", values: "HeadMatrices") -> None:
        """The heads' matrices, once they are loaded: each head's keys and then its values."""
        self.up.weight.data.copy_(torch.cat([keys.give(), values.give()], 1).flatten(0, 1))

    def forward(self, q_THN: Tensor, q_THP: Tensor, c_TR: Tensor, k_TP: Tensor, up: LatentUp, batch: Batch) -> Tensor:
        q_THK, h, v = torch.cat([q_THN, q_THP], -1), self.spec.heads, self.spec.value_dim
        if self.layer is not None:
            return self.layer(q_THK, c_TR, k_TP[:, None], output_shape=(len(q_THK), h * v)).unflatten(1, (h, v))
        k_THN, v_THV = self.up(c_TR).unflatten(1, (h, -1)).split((self.spec.nope_dim, v), -1)
        k_THK = torch.cat([k_THN, k_TP[:, None].expand(-1, h, -1)], -1)
        return cast(Attend, self.attend)(q_THK, k_THK, v_THV, batch)


def _mla(name: str, spec: LatentAttention, up: ColumnParallelLinear, config: VllmConfig) -> MLAAttention:
    return MLAAttention(
        num_heads=spec.heads,
        scale=latent_scale(spec),
        qk_nope_head_dim=spec.nope_dim,
        qk_rope_head_dim=spec.rope_dim,
        v_head_dim=spec.value_dim,
        q_lora_rank=spec.q_rank,
        kv_lora_rank=spec.kv_rank,
        kv_b_proj=up,
        cache_config=config.cache_config,
        quant_config=config.quant_config,
        prefix=layer_name(name),
    )


class HeadMatrices(nn.Module):
    """Holds one rank's heads while a model is loaded; vLLM's MLA layer takes them."""

    def __init__(self, shape: tuple[int, int, int], rank: int, ways: int) -> None:
        super().__init__()
        heads, d_out, d_in = shape
        self.fields = {"weight": (heads * ways, d_out, d_in)}
        self._rank, self._ways, self._weight_HOI = rank, ways, torch.empty(0)

    def assign(self, field: str, value: Weight) -> None:
        self._weight_HOI = dense(value).chunk(self._ways)[self._rank]

    def give(self) -> Tensor:
        weight_HOI, self._weight_HOI = self._weight_HOI, torch.empty(0)
        return weight_HOI
