"""How many tokens one token looks at, and what that costs: counted from the spec."""

from models.describe import long_conv, recurrent
from models.spec import (
    S4,
    Arch,
    Attention,
    BlockSparse,
    Chunked,
    Disentangled,
    FirstTokens,
    Fixed,
    GroupedWindow,
    LatentAttention,
    LinearAttention,
    LocalGlobalAttention,
    LongConv,
    LshAttention,
    Mamba,
    Mamba2,
    Mask,
    RgLru,
    Ring,
    Rwkv7,
    ShiftedWindowAttention,
    ShortConv,
    Single,
    Strided,
)


def attended(mixer: Single, arch: Arch, tokens: int) -> int:
    """Multiply-adds of one query with the keys and the values it sees, and what finds them."""
    match mixer:
        case Attention(heads=h, kv_heads=g, head_dim=k, mask=GroupedWindow(sizes=sizes)):
            return 2 * (h // g) * k * sum(min(tokens, size) for size in sizes)
        case Attention(heads=h, head_dim=k, position=Disentangled(keys=by_contents, queries=by_positions)):
            return (2 + by_contents + by_positions) * h * k * keys(mixer, arch, tokens)
        case Attention(heads=h, head_dim=k) | LocalGlobalAttention(heads=h, head_dim=k):
            return 2 * h * k * keys(mixer, arch, tokens)
        case ShiftedWindowAttention(heads=h, head_dim=k):
            return 2 * h * k * keys(mixer, arch, tokens)
        case LshAttention(heads=h, head_dim=k, rounds=rounds, buckets=buckets):
            return 2 * h * k * keys(mixer, arch, tokens) + h * k * rounds * sum(buckets) // 2
        case LatentAttention(heads=h, kv_rank=r, rope_dim=k):
            return h * (2 * r + k) * keys(mixer, arch, tokens)
        case Mamba() | Mamba2() | ShortConv() | S4() | LinearAttention() | RgLru() | Rwkv7():
            return recurrent.updates(mixer)
        case LongConv():
            return long_conv.convolved(mixer, tokens)


def keys(mixer: Single, arch: Arch, tokens: int) -> int:
    """Tokens that the last of `tokens` sees, of an encoder's one in the middle; in the head that sees most. Which tokens are
    global, where that depends on the text, is not counted."""
    match mixer:
        case LocalGlobalAttention(mask=mask):
            first = arch.global_tokens.count if isinstance(arch.global_tokens, FirstTokens) else 0
            return min(tokens, _seen(mask, tokens) + first)
        case ShiftedWindowAttention(window=window):
            return min(tokens, window**2)
        case LshAttention(mask=mask, rounds=rounds):
            after = mask.after if isinstance(mask, Ring) else 0
            return min(tokens, rounds * (mask.before + 1 + after) * mask.size)
        case Attention(mask=mask) | LatentAttention(mask=mask):
            return _seen(mask, tokens)
        case Mamba(kernel=kernel) | Mamba2(kernel=kernel) | ShortConv(kernel=kernel) | RgLru(kernel=kernel):
            return min(tokens, kernel)  # what lies further back is in the state
        case LinearAttention(kernel=kernel):
            return min(tokens, kernel or 1)
        case Rwkv7():
            return min(tokens, 2)
        case S4():
            return 1
        case LongConv():
            return tokens


def _seen(mask: Mask, tokens: int) -> int:
    match mask:
        case Strided(local=local, stride=stride):
            near = min(tokens, local)
            return near + (tokens - 1) // stride - (near - 1) // stride
        case Fixed(size=size, summary=summary):
            own = _last(tokens, size)
            return own + (tokens - own) // size * summary
        case Chunked(size=size, before=before):
            own = _last(tokens, size)
            return min(tokens, own + before * size)
        case BlockSparse(size=size, random=random):
            return tokens if tokens <= (5 + 2 * random) * size else 4 * size + _last(tokens, size)
        case Ring(size=size, before=before, after=after):
            return min(tokens, (before + 1 + after) * size)
        case _:
            back, ahead = (tokens if n is None else n for n in (mask.reach, mask.ahead))
            return min(tokens, back + ahead)


def _last(tokens: int, size: int) -> int:
    """Tokens in the last of their chunks."""
    return (tokens - 1) % size + 1
