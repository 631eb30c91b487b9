"""Names of special tokens as text of grammars: they are written in ordinary tokens."""

import json
import re

import numpy as np
import pytest
from tokenizers import Tokenizer

from engine.api import Choice, Grammar, JsonSchema, Lark, Regex
from engine.embedded.sampling.grammar import GrammarCompiler
from engine.embedded.sampling.special_tokens import with_secret_names
from tests.server import worlds

NAMES = {
    "chatml": ("<|im_start|>", "<|endoftext|>"),
    "llama3": ("<|eot_id|>", "<|begin_of_text|>"),
    "mistral": ("[INST]", "<unk>"),
    "gemma": ("<end_of_turn>", "<unk>"),
}


def compiler(tokenizer: Tokenizer) -> tuple[GrammarCompiler, set[int]]:
    tokens = json.loads(tokenizer.to_str())["added_tokens"]
    special = {token["id"] for token in tokens if token["special"]}
    return GrammarCompiler(tokenizer.to_str(), tokenizer.get_vocab_size() + 8, sorted(special)[:1]), special


def written(compiler: GrammarCompiler, grammar: Grammar) -> tuple[bytes, set[int]]:
    """The text of a grammar that leaves no choice, with the tokens that it may be written in."""
    matcher, tokens, seen = compiler.compile(grammar), list[int](), set[int]()
    while not matcher.complete:
        allowed = np.flatnonzero(matcher.allowed(frozenset())).tolist()
        seen.update(allowed)
        tokens.append(max(allowed, key=lambda token: len(compiler.tokenizer().decode_bytes([token]))))
        matcher.consume(tokens[-1])
    return compiler.tokenizer().decode_bytes(tokens), seen


@pytest.mark.parametrize("family", NAMES)
def test_text_is_never_a_special_token(family: str) -> None:
    tokenizer, _ = getattr(worlds, family)()
    made, special = compiler(tokenizer)
    for name in NAMES[family]:
        grammars = [Choice(options=(f"a{name}b",)), JsonSchema(schema=json.dumps({"const": name})), Regex(pattern="x" + re.escape(name))]
        for grammar, wanted in zip(grammars, (f"a{name}b", json.dumps(name), f"x{name}"), strict=True):
            text, tokens = written(made, grammar)
            assert text.decode().strip() == wanted.strip() and not tokens & special


@pytest.mark.parametrize("family", NAMES)
def test_special_tokens_are_named_by_number(family: str) -> None:
    tokenizer, _ = getattr(worlds, family)()
    made, special = compiler(tokenizer)
    wanted = max(special)
    matcher = made.compile(Lark(source=f'start: <[{wanted}]> "a"'))
    assert np.flatnonzero(matcher.allowed(frozenset())).tolist() == [wanted]


@pytest.mark.parametrize("family", NAMES)
def test_all_else_stays(family: str) -> None:
    tokenizer, _ = getattr(worlds, family)()
    renamed = Tokenizer.from_str(with_secret_names(tokenizer.to_str()))
    special = {token["id"] for token in json.loads(tokenizer.to_str())["added_tokens"] if token["special"]}
    before, after = ({id: piece for piece, id in one.get_vocab().items()} for one in (tokenizer, renamed))
    assert before.keys() == after.keys() and {id for id in before if before[id] != after[id]} == special
    text = "What is the capital of France? Größe, 東京 🤖\n\n  indented"
    assert renamed.encode(text, add_special_tokens=False).ids == tokenizer.encode(text, add_special_tokens=False).ids
