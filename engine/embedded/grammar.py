"""What the output may look like, through llguidance. Fails closed: what cannot be compiled is InvalidGrammar, and a
matcher that fails later ends the answer; no token is ever sampled without its mask."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from engine.api import Choice, Grammar, InvalidGrammar, JsonObject, JsonSchema, Lark, Regex

# a model left free to add white space may do so for ever
_WHITESPACE = r"( |\n[ \t]{0,24})?"


class GrammarFailed(Exception):
    """The matcher cannot say any more what is allowed."""


class Matcher:
    """One answer's place in its grammar."""

    def __init__(self, matcher: LLMatcher, end_tokens: NDArray[np.int64]) -> None:
        """`end_tokens`: the tokenizer's own end-of-text tokens."""
        self._matcher, self._end_tokens = matcher, end_tokens

    @property
    def complete(self) -> bool:
        """The text may end here."""
        return self._matcher.is_accepting()

    def allowed(self, stop: frozenset[int]) -> NDArray[np.bool_]:
        """One bool per token. Of the tokens that end text, those in `stop` are allowed exactly when the grammar is
        complete, others never. Raises GrammarFailed when nothing is allowed."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        mask = np.unpackbits(bits, bitorder="little").view(np.bool_)
        mask[self._end_tokens] = False
        mask[[token for token in stop if token < len(mask)]] = self.complete
        if not mask.any():
            raise GrammarFailed("no token is allowed")
        return mask

    def consume(self, token: int) -> bool:
        """True when the grammar is complete and nothing may follow. After an error it is False, and the next call of
        `allowed` raises."""
        self._matcher.consume_token(token)
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def fork(self) -> LLMatcher:
        """A copy of its state, to look ahead with."""
        return self._matcher.deep_copy()

    def fork_after(self, token: int) -> LLMatcher | None:
        """`fork` after `token`; None if nothing may follow that."""
        copy = self.fork()
        copy.consume_token(token)
        return None if copy.is_stopped() else copy

    def _check(self) -> None:
        if self._matcher.is_error():
            raise GrammarFailed(self._matcher.get_error())


class GrammarCompiler:
    """Compiles grammars for one tokenizer. Thread-safe, and slow at times: not for the engine's thread."""

    def __init__(self, tokenizer_json: Path, vocab: int, end_tokens: Sequence[int], keep: int = 64) -> None:
        """`vocab`: width of the logits; `end_tokens`: tokens that end text; `keep`: compiled grammars to remember."""
        self._path, self._vocab, self._end_tokens, self._keep = tokenizer_json, vocab, list(end_tokens), keep
        self._tokenizer: LLTokenizer | None = None
        self._compiled: OrderedDict[tuple[str, Grammar], LLMatcher] = OrderedDict()
        self._lock = Lock()

    def compile(self, grammar: Grammar, owner: str = "") -> Matcher:
        """What was compiled for one `owner` takes another as long as ever. Raises InvalidGrammar."""
        matcher = self._recall((owner, grammar))
        if matcher is None:
            matcher = self._new(grammar)
            self._remember((owner, grammar), matcher)
        return Matcher(matcher.deep_copy(), np.array(self._end_tokens, np.int64))

    def _recall(self, key: tuple[str, Grammar]) -> LLMatcher | None:
        with self._lock:
            if key in self._compiled:
                self._compiled.move_to_end(key)
            return self._compiled.get(key)

    def _remember(self, key: tuple[str, Grammar], matcher: LLMatcher) -> None:
        with self._lock:
            self._compiled[key] = matcher
            if len(self._compiled) > self._keep:
                self._compiled.popitem(last=False)

    def _new(self, grammar: Grammar) -> LLMatcher:
        """Outside the lock: a large grammar takes seconds, and others need not wait for it."""
        matcher = LLMatcher(self.tokenizer(), _source(grammar), log_level=0)
        matcher.compute_bitmask()  # only then does it notice that nothing is possible
        if matcher.is_error():
            raise InvalidGrammar(f"the grammar cannot be used: {_first_line(matcher.get_error())}")
        if matcher.is_stopped():
            raise InvalidGrammar("the grammar cannot be used: it matches no text")
        return matcher

    def tokenizer(self) -> LLTokenizer:
        """Loaded on first use."""
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = LLTokenizer(self._path.read_text(), n_vocab=self._vocab, eos_token=self._end_tokens)
            return self._tokenizer


def _source(grammar: Grammar) -> str:
    """llguidance's own form."""
    match grammar:
        case JsonSchema(schema=schema, lenient=lenient):
            return _json_schema(schema, lenient=lenient)
        case JsonObject():
            return _json_schema('{"type": "object"}', lenient=False)
        case Regex(pattern=pattern):
            return LLMatcher.grammar_from_regex(pattern)
        case Choice(options=options):
            return LLMatcher.grammar_from_lark(_one_of(options))
        case Lark(source=source):
            return LLMatcher.grammar_from_lark(source)


def _json_schema(schema: str, *, lenient: bool) -> str:
    try:
        json.loads(schema)
        return LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_pattern": _WHITESPACE, "lenient": lenient})
    except ValueError as error:
        raise InvalidGrammar(f"the JSON schema cannot be used: {error}") from error


def _one_of(options: tuple[str, ...]) -> str:
    if not options:
        raise InvalidGrammar("a choice needs at least one option")
    return "start: " + " | ".join(map(json.dumps, options))


def _first_line(message: str) -> str:
    return message.split("\n<state>")[0].strip()
