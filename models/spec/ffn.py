"""Feed-forward parts: what each token does by itself."""

from typing import Literal

from models.spec.value import spec

Named = Literal["silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "tanh"]


@spec
class Clamped:
    """gpt-oss: with g at most `limit` and u in -limit..limit, g * sigmoid(alpha * g) * (u + 1)."""

    limit: float = 7.0
    alpha: float = 1.702


Activation = Named | Clamped


@spec
class TokenShift:
    """Each of `channels`, which are the model's, is mixed with the token's before (RWKV; Peng et al. 2023, arXiv 2305.13048)."""

    channels: int


@spec
class MLP:
    hidden: int
    activation: Activation = "silu"
    gated: bool = True
    bias: bool = False
    shift: TokenShift | None = None  # before all else


# routers: from a token's logits over the experts to the `active` ones and their weights


@spec
class ExpertGroups:
    """Only experts of the `active` best of `count` groups may be chosen; a group is as good as its best expert, or as
    its two best together."""

    count: int
    active: int
    score: Literal["max", "top2"] = "max"


@spec
class Softmax:
    """Weights are the probabilities over all experts (Shazeer et al. 2017, arXiv 1701.06538; `renormalise`: over the
    chosen ones, Mixtral, arXiv 2401.04088), times `scale`."""

    renormalise: bool = False
    groups: ExpertGroups | None = None
    scale: float = 1.0


@spec
class Sigmoid:
    """Weights are sigmoids; which experts is decided with a correction added to them, the weights without it
    (DeepSeek-V3, arXiv 2412.19437)."""

    renormalise: bool = True
    groups: ExpertGroups | None = None
    scale: float = 1.0


@spec
class SoftmaxOfTop:
    """Weights are the softmax over the chosen logits alone (gpt-oss, Granite)."""


@spec
class SparseMixer:
    """Two experts, one after the other: each with its probability among those whose logits lie near the best one's
    (Phi-3.5-MoE; Liu et al. 2023, arXiv 2310.00811)."""

    jitter: float = 0.01


@spec
class InputSigmoid:
    """The sigmoid of an expert's logit multiplies what the expert reads, not what it returns (Llama 4)."""


Router = Softmax | Sigmoid | SoftmaxOfTop | SparseMixer | InputSigmoid


@spec
class MoE:
    """`active` of `experts` MLPs of width `hidden` for each token, chosen by `router`, and a shared one of width `shared`
    for every token (0: none), gated by a sigmoid of its own if `shared_gate`. `latent`: the chosen ones read and write rows of so
    many numbers, between two matrices that all tokens go through (Nemotron 3; LatentMoE)."""

    experts: int
    active: int
    hidden: int
    router: Router
    activation: Activation = "silu"
    gated: bool = True  # as in `MLP`
    bias: bool = False
    router_bias: bool = False
    shared: int = 0
    shared_gate: bool = False
    latent: int | None = None


FFN = MLP | MoE
