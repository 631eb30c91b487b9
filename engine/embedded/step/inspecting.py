"""What attention and routers do with one short text, gathered while a pass of its own computes it."""

import re

import torch
from torch import Tensor

from engine.api import ChosenExperts, Inspection, Unsupported
from engine.embedded.on_torch.scores import Scores
from models.batch import LatentUp
from models.reference import expand, expanded
from models.score_bias import PLAIN, Scoring
from models.spec import Attention, LatentAttention, MoE


class Inspecting:
    """Implements models.batch.Watcher for a step that is one whole sequence. Of several attentions in a layer the first is told."""

    def __init__(self, layer: int | None) -> None:
        self._layer = layer
        self._heads: dict[int, int] = {}
        self._weights_HTT: Tensor | None = None
        self._experts: dict[int, ChosenExperts] = {}

    def attention(self, part: str, spec: Attention, q_THK: Tensor, k_TGK: Tensor, scoring: Scoring) -> None:
        layer = _layer(part)
        if layer in self._heads:
            return
        self._heads[layer] = spec.heads
        if self._layer is None:
            self._layer = layer
        if layer == self._layer:
            key_T = torch.arange(len(q_THK), device=q_THK.device)
            q_HTK, k_GTK = (t.float().transpose(0, 1)[None] for t in (q_THK, k_TGK))
            self._weights_HTT = Scores(spec, key_T[None, :, None], key_T, scoring).weights(q_HTK, k_GTK)[0].cpu()

    def latent(self, part: str, spec: LatentAttention, q: tuple[Tensor, Tensor], k: tuple[Tensor, Tensor], up: LatentUp) -> None:
        k_THK, _ = expand(up, *k)
        self.attention(part, expanded(spec), torch.cat(q, -1), k_THK, PLAIN)

    def routed(self, part: str, spec: MoE, experts_TA: Tensor, weights_TA: Tensor) -> None:
        self._experts[_layer(part)] = ChosenExperts(spec.experts, experts_TA.long().cpu().numpy(), weights_TA.float().cpu().numpy())

    def result(self) -> Inspection:
        """Raises Unsupported where the layer has no attention that can be told."""
        weights_HTT = self._weights_HTT
        if self._layer is not None and weights_HTT is None:
            told = f"those of this model that do: {', '.join(map(str, self._heads))}" if self._heads else "no layer of this model does"
            raise Unsupported(f"layer: {self._layer} does not tell attention weights; {told}")
        return Inspection(self._heads, self._layer, None if weights_HTT is None else weights_HTT.numpy(), self._experts)


def _layer(part: str) -> int:
    found = re.search(r"\blayers\.(\d+)\.", part)
    if found is None:
        raise ValueError(f"{part} is in no layer")
    return int(found[1])
