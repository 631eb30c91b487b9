"""Experts by grouped products: no look at which were chosen, so that nothing waits for the device and a CUDA graph may hold it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.reference import Experts
from models.spec import InputSigmoid, MoE

ALIGNED = 8  # numbers of bf16 that the rows of a grouped product must be a multiple of


def may_group(spec: MoE, dim: int, dtype: torch.dtype) -> bool:
    return dtype == torch.bfloat16 and dim % ALIGNED == 0 and spec.hidden % ALIGNED == 0


class GroupedExperts(Experts):
    """The same numbers as the loop's, but for rounding. N = T * A rows, sorted by expert."""

    def forward(self, x_TD: Tensor, experts_TA: Tensor, weights_TA: Tensor) -> Tensor:
        active, expert_N = experts_TA.shape[1], experts_TA.flatten()
        order_N = expert_N.argsort(stable=True)
        count_E = torch.zeros(self.spec.experts, dtype=torch.int32, device=x_TD.device)
        ends_E = count_E.index_add(0, expert_N, torch.ones_like(expert_N, dtype=torch.int32)).cumsum(0, dtype=torch.int32)
        weight_N1 = weights_TA.flatten()[order_N, None].to(x_TD.dtype)
        x_ND = x_TD[order_N // active]
        scales_input = isinstance(self.spec.router, InputSigmoid)
        h_NO = self._product("up", x_ND * weight_N1 if scales_input else x_ND, expert_N[order_N], ends_E)
        y_ND = self._product("down", self.act(h_NO, self.spec.activation), expert_N[order_N], ends_E)
        y_ND = y_ND if scales_input else y_ND * weight_N1
        return y_ND[order_N.argsort()].unflatten(0, (-1, active)).sum(1)

    def _product(self, field: str, x_NI: Tensor, expert_N: Tensor, ends_E: Tensor) -> Tensor:
        y_NO = F.grouped_mm(x_NI.contiguous(), self.get_buffer(field).mT, offs=ends_E)
        return y_NO + self.get_buffer(f"{field}_bias")[expert_N] if self.spec.bias else y_NO
