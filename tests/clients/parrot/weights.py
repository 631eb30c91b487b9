"""The parrot's weights, written down instead of trained: a Mistral of two layers that goes on as the last text like this one went on.

Layer 1 has one head for each of the ORDER tokens before a token and fetches it by its position (RoPE peaks at that distance). Layer 2 has
one head that looks for the place whose ORDER tokens before it are the last ORDER ones here, the latest if there are several, and copies
the token there (an induction head, arXiv 2209.11895). A token is a code of BITS signs. RoPE's first frequencies turn fast enough to tell
one token's distance, its last ones do not turn within WINDOW at all: those hold codes."""

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor

BITS, ORDER, HEAD, WIDTH, WINDOW, BASE = 9, 11, 128, 128, 8192, 1e32
HALF = HEAD // 2
POSITIONAL, RECENT, STILL = range(7), 8, 12  # pairs of RoPE: for distances, for the latest of several, and from here on for codes
CURRENT, OUTPUT, ONE = slice(0, BITS), slice(BITS * (ORDER + 1), BITS * (ORDER + 2)), BITS * (ORDER + 2)
WEIGHTS = (4.0, 3.0, 2.0) + (1.0,) * (ORDER - 3)  # of equal tokens, from the last one on
HIDDEN = 64  # of feed-forward parts, which do nothing
NEAR, EQUAL, LATEST, SURE = 40.0, 500.0, 1000.0, 20.0  # how sharp: of distances, of codes, of the latest place, of the answer


def config(vocabulary: int, end: int, context: int) -> dict[str, Any]:
    return {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": ORDER,
        "num_key_value_heads": 1,
        "head_dim": HEAD,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-6,
        "rope_theta": BASE,
        "sliding_window": WINDOW,
        "tie_word_embeddings": False,
        "eos_token_id": end,
        "dtype": "float32",
    }


def state(vocabulary: int) -> dict[str, Tensor]:
    codes = torch.tensor(_codes(vocabulary))
    embedding, head = torch.zeros(vocabulary, WIDTH), torch.zeros(vocabulary, WIDTH)
    embedding[:, CURRENT], embedding[:, ONE] = codes, 1.0
    head[:, OUTPUT] = codes * SURE / _scale(ORDER + 2)
    tensors = {"model.embed_tokens.weight": embedding, "lm_head.weight": head, "model.norm.weight": torch.ones(WIDTH)}
    for index, attention in enumerate((_fetching(), _matching())):
        tensors |= {f"model.layers.{index}.{name}.weight": tensor for name, tensor in (*attention, *_nothing_else())}
    return tensors


def _codes(count: int) -> list[tuple[float, ...]]:
    return random.Random(0).sample(list(product((-1.0, 1.0), repeat=BITS)), count)


def _scale(codes: int) -> float:
    """By which RMSNorm multiplies a state of so many codes and the one."""
    return (WIDTH / (BITS * codes + 1)) ** 0.5


def _fetching() -> Iterator[tuple[str, Tensor]]:
    scale = _scale(1)
    q, k, v, o = torch.zeros(ORDER * HEAD, WIDTH), torch.zeros(HEAD, WIDTH), torch.zeros(HEAD, WIDTH), torch.zeros(WIDTH, ORDER * HEAD)
    for head in range(ORDER):
        for pair in POSITIONAL:
            angle = torch.tensor((head + 1) * BASE ** (-pair / HALF))
            q[head * HEAD + pair, ONE] = NEAR * 2 * HEAD**0.5 / scale * torch.cos(angle)
            q[head * HEAD + HALF + pair, ONE] = -NEAR * 2 * HEAD**0.5 / scale * torch.sin(angle)
            k[pair, ONE] = 1 / scale
        o[_before(head + 1), head * HEAD : head * HEAD + BITS] = torch.eye(BITS)
    v[:BITS, CURRENT] = torch.eye(BITS) / scale
    yield from _attention(q, k, v, o)


def _matching() -> Iterator[tuple[str, Tensor]]:
    scale = _scale(ORDER + 1)
    q, k, v, o = torch.zeros(ORDER * HEAD, WIDTH), torch.zeros(HEAD, WIDTH), torch.zeros(HEAD, WIDTH), torch.zeros(WIDTH, ORDER * HEAD)
    still = torch.tensor([*range(STILL, HALF), *range(HALF + STILL, HEAD)])[: ORDER * BITS].view(ORDER, BITS)
    bits = torch.arange(BITS)
    for place, weight in enumerate(WEIGHTS):
        q[still[place], BITS * place + bits] = EQUAL * weight * HEAD**0.5 / scale
        k[still[place], BITS * (place + 1) + bits] = 1 / scale
    q[HALF + RECENT, ONE], k[RECENT, ONE] = LATEST * HEAD**0.5 / scale, 1 / scale  # the more distant, the less: -sin
    v[bits, bits] = 1 / scale
    o[OUTPUT, :BITS] = torch.eye(BITS)
    yield from _attention(q, k, v, o)


def _before(distance: int) -> slice:
    """Where the state holds the code of the token at this distance; of the token itself at 0."""
    return slice(BITS * distance, BITS * (distance + 1))


def _attention(q: Tensor, k: Tensor, v: Tensor, o: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield from zip(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"), (q, k, v, o), strict=True)


def _nothing_else() -> Iterator[tuple[str, Tensor]]:
    yield "input_layernorm", torch.ones(WIDTH)
    yield "post_attention_layernorm", torch.ones(WIDTH)
    yield "mlp.gate_proj", torch.zeros(HIDDEN, WIDTH)
    yield "mlp.up_proj", torch.zeros(HIDDEN, WIDTH)
    yield "mlp.down_proj", torch.zeros(WIDTH, HIDDEN)
