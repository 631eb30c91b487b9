"""Infilling: the prompt of a text with a gap, for models that were trained to fill it (Bavarian et al. 2022, arXiv 2207.14255)."""

from server.text.tokenizer import ChatTokenizer

MARKERS = (  # before the prefix, before the suffix, before the middle
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen-Coder, CodeGemma
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek-Coder
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),  # Code Llama
)


def infill_prompt(tokenizer: ChatTokenizer, prefix: tuple[int, ...], suffix: str) -> tuple[int, ...] | None:
    """Tokens after which the model writes what belongs between `prefix` and `suffix`. None: its vocabulary has no tokens for that."""
    for names in MARKERS:
        ids = [tokenizer.special_token_id(name) for name in names]
        if None not in ids:
            before, between, after = (id for id in ids if id is not None)
            return (before, *prefix, between, *tokenizer.encode(suffix), after)
    return None
