"""Of feed-forward parts."""

from collections.abc import Iterator

from models.spec.arch import Arch
from models.spec.check.problem import Problem, positive
from models.spec.ffn import FFN, MLP, Clamped, MoE, Sigmoid, Softmax
from models.spec.outputs import Writes

CLAMPED = "must be true: the clamped activation needs a gate"


def feed_forward(ffn: FFN, arch: Arch) -> Iterator[Problem]:
    match ffn:
        case MLP(gated=gated, activation=activation):
            yield from positive(ffn, ".ffn", "hidden")
            if isinstance(activation, Clamped) and not gated:
                yield ".ffn.gated", CLAMPED
            if ffn.shift is not None and not isinstance(arch.output, Writes):
                yield ".ffn.shift", "must be null: an encoder has no token before, as it has no state of a sequence"
            if ffn.shift is not None and ffn.shift.channels != arch.dim:
                yield ".ffn.shift.channels", f"= {ffn.shift.channels} must be dim = {arch.dim}"
        case MoE():
            yield from _moe(ffn)


def _moe(ffn: MoE) -> Iterator[Problem]:
    yield from positive(ffn, ".ffn", "experts", "active", "hidden")
    if ffn.active > ffn.experts:
        yield ".ffn.active", f"= {ffn.active} is more than experts = {ffn.experts}"
    if ffn.latent is not None:
        yield from positive(ffn, ".ffn", "latent")
    if isinstance(ffn.activation, Clamped) and not ffn.gated:
        yield ".ffn.gated", CLAMPED
    if ffn.shared < 0 or (ffn.shared_gate and not ffn.shared):
        yield ".ffn.shared", f"= {ffn.shared} must be positive where there is a shared expert, and 0 otherwise"
    if not isinstance(ffn.router, Softmax | Sigmoid) or ffn.router.groups is None:
        return
    groups = ffn.router.groups
    if groups.count < 1 or ffn.experts % groups.count or not 1 <= groups.active <= groups.count:
        yield ".ffn.router.groups", f"must divide experts = {ffn.experts}, and at most all of them be active"
    elif ffn.active > groups.active * (ffn.experts // groups.count):
        yield ".ffn.active", f"= {ffn.active} is more than the active groups have experts"
    elif groups.score == "top2" and ffn.experts // groups.count < 2:
        yield ".ffn.router.groups.score", "= top2 needs groups of two experts at least"
