"""Converts the tokenizer metadata of a GGUF file to tokenizer.json, tokenizer_config.json and generation_config.json.

This happens once, when a model is prepared: building a BPE of 50,000 entries takes seconds, reading tokenizer.json a tenth of one.
Key names: GGUF specification, section "Tokenizer". Token types: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

Metadata = Mapping[str, Any]

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
SPACE = "\u2581"

# How text is split before BPE, as in the published tokenizer.json files.
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# GGUF specification, section "General": general.sampling
SAMPLING = {
    "general.sampling.temp": "temperature",
    "general.sampling.top_p": "top_p",
    "general.sampling.top_k": "top_k",
    "general.sampling.min_p": "min_p",
    "general.sampling.penalty_repeat": "repetition_penalty",
}

# tokenizer.ggml.pre -> how text is split; several names share a rule
SPLITS: dict[str, str] = {
    **dict.fromkeys(("llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "lfm2", "dbrx", "smaug-bpe"), LLAMA3),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan"), QWEN2),
    "tekken": TEKKEN,
}
DIGITS = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})
GPT2 = frozenset({"default", "gpt-2", "phi-2", "mpt", "olmo", "jais", "modern-bert"})
# a word in the vocabulary is one token, without merges
IGNORE_MERGES = frozenset({"llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "lfm2", "tekken"})
NFC = frozenset({"qwen2", "deepseek-r1-qwen", "megrez"})

# Tokens that end a turn or a text, in addition to the file's eos (most files name only one of the two).
END_TOKENS = frozenset(
    {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>", "<eos>", "</s>", "<|eom_id|>"}
)


class UnknownTokenizer(ValueError):
    """The file names a tokenizer that is not supported; a guess would encode some texts wrongly."""


def build_tokenizer(metadata: Metadata) -> Tokenizer:
    """`metadata`: GGUF key -> value. Raises UnknownTokenizer."""
    build = {"gpt2": _byte_level, "llama": _sentencepiece}.get(kind := metadata.get("tokenizer.ggml.model", ""))
    if build is None:
        raise UnknownTokenizer(f"tokenizer.ggml.model is {kind!r}; known: gpt2, llama")
    built = build(metadata)
    _add_tokens(built, metadata)
    _add_bos_eos(built, metadata)
    return built


def tokenizer_json(metadata: Metadata) -> str:
    """The content of tokenizer.json. Raises UnknownTokenizer."""
    return with_short_merges(build_tokenizer(metadata).to_str())


def with_short_merges(tokenizer: str) -> str:
    """The same, with each merge as one string where no token contains a space: half a million pairs take twice as long to read."""
    spec: dict[str, Any] = json.loads(tokenizer)
    merges: list[list[str]] = spec["model"]["merges"]
    if not any(" " in part for pair in merges for part in pair):
        spec["model"]["merges"] = [" ".join(pair) for pair in merges]
    return json.dumps(spec, ensure_ascii=False)


def tokenizer_config(metadata: Metadata) -> dict[str, Any]:
    """The content of tokenizer_config.json, with chat_template."""
    tokens = metadata["tokenizer.ggml.tokens"]
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": _adds_bos(metadata),
        "add_eos_token": _adds_eos(metadata),
        "clean_up_tokenization_spaces": False,
        "chat_template": metadata.get("tokenizer.chat_template"),
    }
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        number = metadata.get(f"tokenizer.ggml.{key}_token_id")
        config[f"{name}_token"] = None if number is None else tokens[number]
    return {name: value for name, value in config.items() if value is not None}


def generation_config(metadata: Metadata) -> dict[str, Any]:
    """bos_token_id, eos_token_id, the latter a list: every token that ends a turn; and the sampling that the file recommends."""
    named = (metadata.get(f"tokenizer.ggml.{key}_token_id") for key in ("eos", "eot", "eom"))
    ends = {number for number in named if number is not None}
    ends |= {i for i, (token, kind) in enumerate(_tokens_with_types(metadata)) if kind == CONTROL and token in END_TOKENS}
    bos = metadata.get("tokenizer.ggml.bos_token_id")
    sampling = {name: metadata[key] for key, name in SAMPLING.items() if key in metadata}
    return {"eos_token_id": sorted(ends)} | ({} if bos is None else {"bos_token_id": bos}) | sampling


def _byte_level(metadata: Metadata) -> Tokenizer:
    pre = metadata.get("tokenizer.ggml.pre", "default")
    merges = [_pair(merge) for merge in metadata["tokenizer.ggml.merges"]]
    built = Tokenizer(BPE(vocab=_vocab(metadata["tokenizer.ggml.tokens"]), merges=merges, ignore_merges=pre in IGNORE_MERGES))
    if pre in NFC:
        built.normalizer = normalizers.NFC()
    built.pre_tokenizer = _pre_tokenizer(pre)
    built.decoder = decoders.ByteLevel()
    return built


def _pre_tokenizer(pre: str) -> Any:
    if pre in GPT2:
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pre in DIGITS:
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    if pre in SPLITS:
        split = pre_tokenizers.Split(Regex(SPLITS[pre]), behavior="isolated")
        return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    raise UnknownTokenizer(f"tokenizer.ggml.pre is {pre!r}; known: {', '.join(sorted(GPT2 | DIGITS | SPLITS.keys()))}")


def _sentencepiece(metadata: Metadata) -> Tokenizer:
    """BPE over characters with byte fallback; spaces are written as U+2581 (Kudo & Richardson 2018, arXiv 1808.06226)."""
    tokens = [token.replace(" ", SPACE) for token in metadata["tokenizer.ggml.tokens"]]
    merges = [_pair(merge) for merge in metadata.get("tokenizer.ggml.merges", ())] or _merges(metadata, tokens)
    unknown = metadata.get("tokenizer.ggml.unknown_token_id")
    unk_token = None if unknown is None else tokens[unknown]
    built = Tokenizer(BPE(vocab=_vocab(tokens), merges=merges, unk_token=unk_token, fuse_unk=True, byte_fallback=True))
    prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
    replace = normalizers.Replace(" ", SPACE)
    built.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), replace]) if prefix else replace
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    built.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)
    return built


def _merges(metadata: Metadata, tokens: Sequence[str]) -> list[tuple[str, str]]:
    """SentencePiece has no merge list: it joins the pair whose result has the best score. The equivalent list is every split of a token
    into two known ones, best token first. Gemma's scores do not follow its merge order, its ids do."""
    typed_tokens = enumerate(zip(tokens, _tokens_with_types(metadata), strict=True))
    mergeable = {i: token for i, (token, (_, kind)) in typed_tokens if kind in (NORMAL, USER_DEFINED)}
    known = set(mergeable.values())
    if metadata.get("general.architecture", "").startswith("gemma"):
        order = list(mergeable)
    else:
        scores = metadata["tokenizer.ggml.scores"]
        order = sorted(mergeable, key=lambda i: -scores[i])
    return [pair for i in order for pair in _splits(mergeable[i], known)]


def _splits(token: str, known: set[str]) -> Iterable[tuple[str, str]]:
    for k in range(1, len(token)):
        if token[:k] in known and token[k:] in known:
            yield token[:k], token[k:]


def _pair(merge: str) -> tuple[str, str]:
    """Both sides of a merge, split at the first space that is not the first character (a side may contain spaces)."""
    k = merge.index(" ", 1)
    return merge[:k], merge[k + 1 :]


def _vocab(tokens: Sequence[str]) -> dict[str, int]:
    """Token -> id; of ids with the same text the first counts."""
    vocab: dict[str, int] = {}
    for i, token in enumerate(tokens):
        vocab.setdefault(token, i)
    return vocab


def _tokens_with_types(metadata: Metadata) -> list[tuple[str, int]]:
    tokens = metadata["tokenizer.ggml.tokens"]
    return list(zip(tokens, metadata.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens), strict=True))


def _add_tokens(built: Any, metadata: Metadata) -> None:
    """Control tokens are special; user-defined ones are never split, but are text. Both are in the vocabulary already: no id is added.
    Runs of spaces (Gemma) are left to the merges: as added tokens they would not match their U+2581 spelling."""
    typed = [(token, kind) for token, kind in _tokens_with_types(metadata) if built.token_to_id(token) is not None]
    built.add_special_tokens([AddedToken(token, special=True, normalized=False) for token, kind in typed if kind == CONTROL])
    built.add_tokens([AddedToken(token, special=False, normalized=False) for token, kind in typed if kind == USER_DEFINED])


def _add_bos_eos(built: Tokenizer, metadata: Metadata) -> None:
    """encode(..., add_special_tokens=True) puts bos and eos where the file asks for them."""
    before = [_special_token(metadata, "bos")] if _adds_bos(metadata) else []
    after = [_special_token(metadata, "eos")] if _adds_eos(metadata) else []
    if before or after:
        single = [*(token for token, _ in before), "$A", *(token for token, _ in after)]
        pair = [*single, *(f"{part}:1" for part in ("$B", *(token for token, _ in after)))]
        built.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=[*before, *after])


def _special_token(metadata: Metadata, name: str) -> tuple[str, int]:
    number = metadata[f"tokenizer.ggml.{name}_token_id"]
    return metadata["tokenizer.ggml.tokens"][number], number


def _adds_bos(metadata: Metadata) -> bool:
    """The default, for files without add_bos_token: true for SentencePiece and Llama 3 vocabularies."""
    default = metadata["tokenizer.ggml.model"] == "llama" or metadata.get("tokenizer.ggml.pre") in IGNORE_MERGES
    return bool(metadata.get("tokenizer.ggml.add_bos_token", default)) and "tokenizer.ggml.bos_token_id" in metadata


def _adds_eos(metadata: Metadata) -> bool:
    return bool(metadata.get("tokenizer.ggml.add_eos_token", False)) and "tokenizer.ggml.eos_token_id" in metadata
