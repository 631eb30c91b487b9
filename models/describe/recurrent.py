"""Counts of mixers whose memory stays as large as it is."""

from models.spec import S4, ChannelDecay, FixedDecay, HeadDecay, LinearAttention, Mamba, Mamba2, Norm, Recurrent, RgLru, Rwkv7, ShortConv

PER_STATE = 3  # multiply-adds for each number of a state: it decays, takes in, and is read
PER_DELTA = 5  # what it holds for a key is also found and replaced
PER_COMPLEX = 6  # it turns (four), and its real part is read (two)


def matrices(mixer: Recurrent, dim: int) -> int:
    """Numbers of the matrices, and so multiply-adds of one token with them."""
    match mixer:
        case Mamba(inner=i, state=n, rank=r):
            return 3 * dim * i + i * (r + 2 * n) + r * i
        case Mamba2(heads=h, head_dim=k):
            return dim * (h * k + _convolved(mixer) + h) + h * k * dim
        case ShortConv(channels=c):
            return 4 * dim * c
        case RgLru(channels=c, blocks=blocks):
            return 3 * dim * c + 2 * c * (c // blocks)
        case Rwkv7(heads=h, head_dim=k, decay_rank=w, rate_rank=a, gate_rank=g, first=first):
            return 4 * dim * h * k + (w + a + g + (first.rank if first else 0)) * (dim + h * k)
        case S4(channels=c):
            return 2 * dim * c
        case LinearAttention(heads=h, key_dim=k, value_dim=v, gate=gate):
            shared = dim * (_convolved(mixer) + h * bool(mixer.delta)) + h * v * dim + _decay_matrices(mixer, dim)
            return shared + (0 if gate is None else dim * h * v if gate.rank is None else gate.rank * (dim + h * v))


def vectors(mixer: Recurrent, dim: int) -> int:
    """All other parameters: taps, biases, decays, norms."""
    taps = _taps(mixer)
    match mixer:
        case Mamba(inner=i, state=n, rank=r):
            biases = i * mixer.conv_bias + (2 * i + dim) * mixer.bias + i
            return taps + biases + i * n + i + _norm(mixer.norm, r + 2 * n)
        case Mamba2(heads=h, head_dim=k):
            channels = _convolved(mixer)
            return taps + channels * mixer.conv_bias + (h * k + channels + h + dim) * mixer.bias + 3 * h + _norm(mixer.norm, h * k)
        case ShortConv(channels=c):
            return taps + (c + 3 * c + dim) * mixer.bias
        case LinearAttention(value_dim=v):
            return taps + _decay_vectors(mixer) + _norm(mixer.norm, v)
        case RgLru(channels=c):
            return taps + c + 2 * c + dim + 2 * c + c  # biases of convolution, matrices and gates, and rates
        case Rwkv7(heads=h, head_dim=k, first=first):
            return 6 * dim + (7 + bool(first)) * h * k  # mixes; biases of decay, rate and values, scales, bonus, norm
        case S4(channels=c, state=n):
            return 4 * c * n + 2 * c + 2 * dim  # rates, how they are read, step and skip, bias


def _decay_matrices(mixer: LinearAttention, dim: int) -> int:
    match mixer.decay:
        case HeadDecay():
            return dim * mixer.heads
        case ChannelDecay(rank=r):
            return r * (dim + mixer.heads * mixer.key_dim)
        case FixedDecay():
            return 0


def _decay_vectors(mixer: LinearAttention) -> int:
    """Rates and biases."""
    match mixer.decay:
        case HeadDecay():
            return 2 * mixer.heads
        case ChannelDecay():
            return mixer.heads * (1 + mixer.key_dim)
        case FixedDecay():
            return 0


def updates(mixer: Recurrent) -> int:
    """Multiply-adds of one token with what is remembered."""
    taps = _taps(mixer)
    match mixer:
        case Mamba(inner=i, state=n):
            return taps + PER_STATE * i * n
        case Mamba2(heads=h, head_dim=k, state=n):
            return taps + PER_STATE * h * k * n
        case ShortConv():
            return taps
        case LinearAttention(heads=h, key_dim=k, value_dim=v, delta=delta):
            return taps + (PER_STATE if delta is None else PER_DELTA) * h * k * v
        case RgLru(channels=c):
            return taps + PER_STATE * c
        case Rwkv7(heads=h, head_dim=k):
            return PER_DELTA * h * k * k
        case S4(channels=c, state=n):
            return PER_COMPLEX * c * n


def _taps(mixer: Recurrent) -> int:
    return 0 if isinstance(mixer, S4 | Rwkv7) else _convolved(mixer) * (mixer.kernel or 0)


def _convolved(mixer: Mamba | Mamba2 | ShortConv | LinearAttention | RgLru) -> int:
    """Channels."""
    match mixer:
        case Mamba(inner=i):
            return i
        case Mamba2(heads=h, head_dim=k, groups=g, state=n):
            return h * k + 2 * g * n
        case ShortConv(channels=c) | RgLru(channels=c):
            return c
        case LinearAttention(heads=h, key_heads=g, key_dim=k, value_dim=v):
            return 2 * g * k + h * v


def _norm(norm: Norm | None, dim: int) -> int:
    return 0 if norm is None or norm.kind == "rms_unweighted" else dim * (1 + (norm.kind == "layer"))
