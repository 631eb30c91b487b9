"""Architectures that nobody published: any mixer beside any feed-forward part, drawn by hypothesis."""

from dataclasses import replace

from hypothesis import strategies as st

from models.spec import (
    FFN,
    MLP,
    S4,
    Alibi,
    Arch,
    Attention,
    Axial,
    Causal,
    ChannelDecay,
    Chunked,
    Clamped,
    Decay,
    DeltaRule,
    Disentangled,
    ExpertGroups,
    FirstValues,
    Fixed,
    FixedDecay,
    GroupedWindow,
    HeadDecay,
    ImplicitFilter,
    InputSigmoid,
    LatentAttention,
    Layer,
    Learned,
    LinearAttention,
    LongConv,
    LshAttention,
    Mamba,
    Mamba2,
    Mask,
    MoE,
    Next,
    Norm,
    OutputGate,
    Parallel,
    QKNorm,
    RelativeBias,
    RgLru,
    Rope,
    Router,
    Rwkv7,
    SharedBlock,
    ShortConv,
    Sigmoid,
    Single,
    Sinusoidal,
    Softmax,
    SoftmaxOfTop,
    Sorted,
    SparseMixer,
    Strided,
    Temperature,
    TokenShift,
    Window,
    map_mixers,
    mixers,
)
from tests.engine.tiny import CONTEXT

DIM, VOCAB = 24, 96

flags = st.booleans()
norms = st.builds(Norm, kind=st.sampled_from(["rms", "rms_unweighted", "layer", "layer_unbiased"]))
head_norms = st.builds(
    QKNorm, norm=st.builds(Norm, kind=st.sampled_from(["rms", "layer_unbiased"])), over=st.sampled_from(["head", "each_head", "projection"])
)
simple_masks: st.SearchStrategy[Mask] = st.one_of(st.just(Causal()), st.builds(Window, size=st.integers(1, 40)))


def masks(kv_heads: int) -> st.SearchStrategy[Mask]:
    return st.one_of(
        simple_masks,
        st.builds(Chunked, size=st.integers(1, 40), before=st.integers(0, 2)),
        st.builds(Strided, local=st.integers(1, 20), stride=st.integers(1, 9)),
        st.integers(2, 20).flatmap(lambda size: st.builds(Fixed, size=st.just(size), summary=st.integers(1, size - 1))),
        st.builds(GroupedWindow, sizes=st.tuples(*[st.integers(1, 40)] * kv_heads)),
    )


disentangled = st.builds(
    Disentangled,
    span=st.sampled_from([6, 9]),
    max_distance=st.sampled_from([None, 20]),
    keys=flags,
    queries=st.just(True),
    shared_projections=flags,
    norm=st.none() | st.just(Norm(kind="layer")),
)


@st.composite
def attentions(draw: st.DrawFn) -> Attention:
    kv_heads = draw(st.sampled_from([1, 2, 3]))
    return Attention(
        heads=kv_heads * draw(st.sampled_from([1, 2])),
        kv_heads=kv_heads,
        head_dim=8,
        mask=draw(masks(kv_heads)),
        position=draw(
            st.one_of(
                st.none(),
                st.builds(Rope, dim=st.sampled_from([4, 8])),
                st.builds(Alibi, max_bias=st.sampled_from([4.0, 8.0]), scaled=flags),
                st.builds(RelativeBias, buckets=st.sampled_from([4, 12]), max_distance=st.sampled_from([9, 40]), shared=flags),
                disentangled,
            )
        ),
        qk_norm=draw(st.none() | head_norms),
        bias=draw(flags),
        out_bias=draw(flags),
        clip=draw(st.none() | st.just(1.5)),
        softcap=draw(st.none() | st.just(2.0)),
        scale=draw(st.none() | st.just(0.7)),
        temperature=draw(st.none() | st.just(Temperature(floor=5.0, scale=0.3))),
        sinks=draw(flags),
        gate=draw(st.sampled_from([None, "head", "channel"])),
    )


latents = st.builds(
    LatentAttention,
    heads=st.sampled_from([1, 3]),
    kv_rank=st.just(10),
    rope_dim=st.just(4),
    nope_dim=st.just(6),
    value_dim=st.just(5),
    q_rank=st.none() | st.just(7),
    position=st.none() | st.just(Rope(dim=4)),
    mask=simple_masks,
    bias=flags,
    out_bias=flags,
    scale=st.none() | st.just(0.6),
)


def linear_attentions(decays: st.SearchStrategy[Decay]) -> st.SearchStrategy[LinearAttention]:
    return st.builds(
        LinearAttention,
        heads=st.just(4),
        key_heads=st.sampled_from([1, 2, 4]),
        key_dim=st.just(6),
        value_dim=st.just(5),
        decay=decays,
        delta=st.none() | st.builds(DeltaRule, most=st.sampled_from([1.0, 2.0])),
        kernel=st.none() | st.integers(2, 5),
        position=st.none() | st.just(Rope(dim=4)),
        norm=st.none() | st.builds(Norm, kind=st.sampled_from(["rms", "rms_unweighted", "layer"])),
        gate=st.none() | st.builds(OutputGate, activation=st.sampled_from(["silu", "sigmoid"]), rank=st.sampled_from([None, 3])),
    )


alike: st.SearchStrategy[Decay] = st.sampled_from([HeadDecay(), FixedDecay(first=1.0)])  # of all channels of a head
scanned = st.one_of(
    linear_attentions(alike),
    st.builds(
        Mamba,
        inner=st.just(20),
        state=st.just(5),
        rank=st.just(3),
        kernel=st.integers(2, 5),
        conv_bias=flags,
        bias=flags,
        norm=st.none() | st.builds(Norm, kind=st.sampled_from(["rms", "rms_unweighted"])),
    ),
    st.builds(
        Mamba2,
        heads=st.just(4),
        head_dim=st.just(6),
        state=st.just(5),
        groups=st.sampled_from([1, 2]),
        kernel=st.integers(2, 5),
        conv_bias=flags,
        bias=flags,
        norm=st.just(Norm()),
        norm_first=flags,
        least_step=st.sampled_from([0.0, 0.3]),
        most_step=st.none() | st.just(1.0),
    ),
    st.just(Mamba2(heads=2, head_dim=5, state=4, norm=None)),
    st.builds(ShortConv, channels=st.just(18), kernel=st.integers(2, 5), bias=flags),
)
states = st.one_of(
    scanned,
    linear_attentions(st.just(ChannelDecay(rank=3))),
    st.just(Rwkv7(heads=4, head_dim=6, decay_rank=3, rate_rank=2, gate_rank=5)),
    st.just(S4(channels=DIM, state=5)),
    st.builds(
        RgLru,
        channels=st.just(18),
        blocks=st.sampled_from([1, 3]),
        kernel=st.integers(2, 5),
        activation=st.sampled_from(["gelu_tanh", "silu"]),
    ),
)
hashed = st.builds(
    LshAttention,
    heads=st.sampled_from([1, 3]),
    head_dim=st.just(8),
    mask=st.builds(Sorted, size=st.integers(1, 20), before=st.integers(0, 2)),
    rounds=st.integers(1, 3),
    buckets=st.sampled_from([(2,), (6,), (2, 4)]),
    seed=st.integers(0, 3),
)
filters = st.builds(
    ImplicitFilter, length=st.just(CONTEXT + 20), bands=st.integers(1, 2), hidden=st.just(6), depth=st.integers(0, 2), shift=st.just(0.1)
)
convolutions = st.builds(LongConv, channels=st.just(10), filter=filters, order=st.integers(2, 4), kernel=st.integers(2, 4))
singles: st.SearchStrategy[Single] = st.one_of(attentions(), latents, states, hashed, convolutions)

groups = st.none() | st.builds(ExpertGroups, count=st.just(2), active=st.just(1), score=st.sampled_from(["max", "top2"]))
routers: st.SearchStrategy[Router] = st.one_of(
    st.builds(Softmax, renormalise=flags, groups=groups, scale=st.sampled_from([1.0, 1.7])),
    st.builds(Sigmoid, renormalise=flags, groups=groups, scale=st.sampled_from([1.0, 2.5])),
    st.just(SoftmaxOfTop()),
    st.just(InputSigmoid()),
    st.builds(SparseMixer, jitter=st.sampled_from([0.01, 0.5])),
)
mlps = st.builds(
    MLP,
    hidden=st.just(20),
    activation=st.sampled_from(["silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "relu2"]),
    gated=flags,
    bias=flags,
)
gated_experts = st.builds(
    MoE,
    experts=st.just(6),
    active=st.integers(1, 3),
    hidden=st.just(12),
    router=routers,
    activation=st.sampled_from(["silu", "relu2", Clamped(limit=0.7)]),
    bias=flags,
    router_bias=flags,
    shared=st.sampled_from([0, 9]),
    latent=st.none() | st.just(14),
)
experts = gated_experts | gated_experts.filter(lambda moe: moe.activation == "relu2").map(lambda moe: replace(moe, gated=False))
ffns: st.SearchStrategy[FFN] = st.one_of(mlps, experts)

shifting = mlps.map(lambda mlp: replace(mlp, shift=TokenShift(channels=DIM)))


def handed(layers: list[Layer]) -> list[Layer]:
    """RWKV-7's layers behind the first take its values."""
    first = next((i for i, layer in enumerate(layers) if any(isinstance(m, Rwkv7) for m in mixers(layer))), len(layers))
    return [*layers[: first + 1], *(map_mixers(layer, _taking) for layer in layers[first + 1 :])]


def _taking(mixer: Single) -> Single:
    return replace(mixer, first=FirstValues(rank=3)) if isinstance(mixer, Rwkv7) else mixer


@st.composite
def deep(draw: st.DrawFn, singles: st.SearchStrategy[Single], ffns: st.SearchStrategy[FFN]) -> tuple[Layer, ...]:
    """Some with a last layer that is the first one again."""
    mixers = st.one_of(singles, st.builds(Parallel, mixers=st.lists(singles, min_size=2, max_size=3).map(tuple)))
    layers = st.builds(
        Layer,
        mixer=mixers,
        ffn=ffns,
        norm=norms,
        placement=st.sampled_from(["pre", "pre_ffn", "post", "sandwich", "after", "parallel", "parallel_shared"]),
        scale=st.sampled_from([1.0, 0.4]),
    )
    alone = st.builds(Layer, mixer=mixers, ffn=st.none(), norm=norms, scale=st.sampled_from([1.0, 0.4]))
    silent = st.builds(Layer, mixer=st.none(), ffn=ffns, norm=norms, scale=st.sampled_from([1.0, 0.4]))
    drawn = st.lists(layers | alone | silent, min_size=1, max_size=3).filter(lambda drawn: any(layer.mixer for layer in drawn))
    found = handed(draw(drawn))
    return (*found, replace(found[0], weights_of=0)) if draw(flags) else tuple(found)


def archs_of(singles: st.SearchStrategy[Single], ffns: st.SearchStrategy[FFN]) -> st.SearchStrategy[Arch]:
    return st.builds(
        Arch,
        dim=st.just(DIM),
        vocab=st.just(VOCAB),
        layers=deep(singles, ffns),
        norm=st.none() | norms,
        tied=flags,
        embed_dim=st.none() | st.just(14),
        embed_scale=st.sampled_from([1.0, 3.0]),
        embed_norm=st.none() | norms,
        position=st.none()
        | st.just(Learned(count=CONTEXT))
        | st.builds(Sinusoidal, order=st.sampled_from(["interleaved", "halves"]), inclusive=flags),
        output=st.builds(Next, scale=st.sampled_from([1.0, 0.5]), softcap=st.none() | st.just(4.0)),
        context=st.just(CONTEXT),
    )


def reversible(arch: Arch) -> Arch:
    """The same layers on two streams, each with a mixer for the first and a feed-forward part for the second one."""
    mixer, ffn = Attention(heads=2, kv_heads=1, head_dim=8), MLP(hidden=20)
    layers = (replace(x, placement="reversible", mixer=x.mixer or mixer, ffn=x.ffn or ffn) for x in arch.layers)
    return replace(arch, layers=tuple(layers), tied=False, embed_dim=None)


def axial(arch: Arch) -> Arch:
    return replace(arch, position=Axial(rows=16, columns=10, row_dim=10, column_dim=14))


@st.composite
def blocked(draw: st.DrawFn, archs: st.SearchStrategy[Arch]) -> Arch:
    """The same, and behind them two layers that share a block."""
    arch, attention = draw(archs), draw(attentions().filter(lambda drawn: isinstance(drawn.position, Rope | Alibi | None)))
    block = SharedBlock(attention=attention, ffn=draw(mlps), rank=3, adapts_attention=draw(flags), norm=draw(norms))
    first, second = (Layer(mixer=draw(singles), ffn=None, norm=draw(norms)) for _ in range(2))
    again = replace(block, weights_of=len(arch.layers))
    return replace(arch, layers=(*arch.layers, replace(first, block=block), replace(second, block=again)))


chained = archs_of(singles, ffns | shifting)
archs: st.SearchStrategy[Arch] = st.one_of(chained, chained.map(axial), chained.map(reversible), blocked(chained))
attending_archs = archs_of(st.one_of(attentions(), latents), ffns)
dense_archs = archs_of(attentions() | scanned, mlps)
