"""The tokenizer of a pipeline's texts: tokenizer.json, or the vocab.json and merges.txt that CLIP was published with (Radford et al. 2021,
arXiv 2103.00020, section 2.4), read as transformers' CLIPTokenizer reads them."""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def load_clip_tokenizer(folder: Path) -> tuple[Tokenizer, int]:
    """With the token that fills prompts up. Raises ValueError."""
    return with_padding(folder, in_one_file(folder) or _published(folder), END)


def in_one_file(folder: Path) -> Tokenizer | None:
    if not (folder / "tokenizer.json").exists():
        return None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def with_padding(folder: Path, tokenizer: Tokenizer, usual: str) -> tuple[Tokenizer, int]:
    """With the token that fills prompts up, `usual` where the folder names none. Names of tokens in a prompt are text from now on. Raises
    ValueError."""
    tokenizer.encode_special_tokens = True
    name = _padding_name(folder, usual)
    if (padding := tokenizer.token_to_id(name)) is None:
        raise ValueError(f"{folder.name}: the token {name!r}, with which prompts are filled up, is not in the vocabulary")
    return tokenizer, padding


def _published(folder: Path) -> Tokenizer:
    if missing := [name for name in ("vocab.json", "merges.txt") if not (folder / name).exists()]:
        raise ValueError(f"{folder.name} has neither tokenizer.json nor {' and '.join(missing)}")
    vocab: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [(parts[0], parts[1]) for line in lines if not line.startswith("#version") and len(parts := line.split()) == 2]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token=END))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.post_processor = processors.RobertaProcessing((END, vocab[END]), (BEGIN, vocab[BEGIN]), False, False)
    return tokenizer


def _padding_name(folder: Path, usual: str) -> str:
    """Stable Diffusion 2 fills up with "!", others with the end."""
    for file in (folder / "tokenizer_config.json", folder / "special_tokens_map.json"):
        match json.loads(file.read_text(encoding="utf-8")).get("pad_token") if file.exists() else None:
            case str(name) | {"content": str(name)}:
                return name
            case _:
                pass
    return usual
