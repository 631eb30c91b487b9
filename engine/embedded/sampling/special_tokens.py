"""Special tokens in grammars. Where a grammar leaves one text, llguidance writes that text in the tokenizer's own tokens, and a tokenizer
reads the name of a special token as that token: {"const": "<|im_end|>"} would become a control token, or nothing at all. So the grammars'
tokenizer knows special tokens by names that no text has; grammars name them by number, <[ID]>."""

import json
import secrets
from typing import Any, cast

Json = dict[str, Any]


def with_secret_names(tokenizer_json: str) -> str:
    """The content of a tokenizer.json, with other names for its special tokens. Numbers and order stay."""
    tokenizer: Json = json.loads(tokenizer_json)
    special: list[Json] = [token for token in tokenizer.get("added_tokens") or () if token.get("special")]
    names = {token["content"]: f"<|{token['id']}-{secrets.token_hex(8)}|>" for token in special}
    for token in special:
        token["content"] = names[token["content"]]
    _rename_in(tokenizer["model"], names)
    return json.dumps(tokenizer, ensure_ascii=False)


def _rename_in(model: Json, names: dict[str, str]) -> None:
    """A vocabulary is {piece: id}, or [[piece, score], …] (Unigram)."""
    vocab: Any = model.get("vocab")
    if isinstance(vocab, dict):
        model["vocab"] = {names.get(piece, piece): id for piece, id in cast(dict[str, int], vocab).items()}
    elif isinstance(vocab, list):
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in cast(list[tuple[str, float]], vocab)]
    if isinstance(unknown := model.get("unk_token"), str):
        model["unk_token"] = names.get(unknown, unknown)
