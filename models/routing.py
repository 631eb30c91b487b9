"""Routers: from a token's float32 logits over E experts to the A that compute it, and their weights."""

import torch
from torch import Tensor

from models.spec import ExpertGroups, InputSigmoid, MoE, Sigmoid, Softmax, SoftmaxOfTop, SparseMixer


def route(spec: MoE, logits_TE: Tensor, correction_E: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(experts_TA int64, weights_TA float32). `correction_E`: of a `Sigmoid` router."""
    match spec.router:
        case Softmax(renormalise=renormalise, groups=groups, scale=scale):
            scores_TE = logits_TE.softmax(-1)
            experts_TA = _within(scores_TE, groups, 0.0).topk(spec.active).indices
            return experts_TA, _share(scores_TE.gather(1, experts_TA), renormalise, 0.0) * scale
        case Sigmoid(renormalise=renormalise, groups=groups, scale=scale):
            scores_TE = logits_TE.sigmoid()
            choice_TE = scores_TE if correction_E is None else scores_TE + correction_E
            experts_TA = _within(choice_TE, groups, -torch.inf).topk(spec.active).indices
            return experts_TA, _share(scores_TE.gather(1, experts_TA), renormalise, 1e-20) * scale
        case SoftmaxOfTop():
            top = logits_TE.topk(spec.active)
            return top.indices, top.values.softmax(-1)
        case InputSigmoid():
            top = logits_TE.topk(spec.active)
            return top.indices, top.values.sigmoid()
        case SparseMixer(jitter=jitter):
            return _sparse_mixer(logits_TE, spec.active, jitter)


def _share(weights_TA: Tensor, renormalise: bool, eps: float) -> Tensor:
    return weights_TA / (weights_TA.sum(-1, keepdim=True) + eps) if renormalise else weights_TA


def _within(scores_TE: Tensor, groups: ExpertGroups | None, other: float) -> Tensor:
    """Scores where experts of the groups that were not chosen have `other`. N groups."""
    if groups is None:
        return scores_TE
    scores_TNE = scores_TE.unflatten(1, (groups.count, -1))
    group_TN = scores_TNE.amax(-1) if groups.score == "max" else scores_TNE.topk(2).values.sum(-1)
    chosen_TN = torch.zeros_like(group_TN, dtype=torch.bool).scatter(1, group_TN.topk(groups.active).indices, True)
    return scores_TNE.masked_fill(~chosen_TN[..., None], other).flatten(1)


def _sparse_mixer(logits_TE: Tensor, active: int, jitter: float) -> tuple[Tensor, Tensor]:
    """One expert after another: the best of those left, with its probability among those that lie near it."""
    left_TE, experts, weights = logits_TE, list[Tensor](), list[Tensor]()
    for _ in range(active):
        best_T1, expert_T1 = left_TE.max(-1, keepdim=True)
        far_TE = (best_T1 - logits_TE) / logits_TE.abs().maximum(best_T1) > 2 * jitter
        near_TE = left_TE.masked_fill(far_TE, -torch.inf)
        experts.append(expert_T1)
        weights.append(near_TE.softmax(-1).gather(1, expert_T1))
        left_TE = left_TE.scatter(1, expert_T1, -torch.inf)
    return torch.cat(experts, 1), torch.cat(weights, 1)
