"""What the output may look like, through llguidance. Fails closed: what cannot be compiled is InvalidGrammar, and a
matcher that fails later ends the answer; no token is ever sampled without its mask."""

import json
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from numpy.typing import NDArray

from engine.api import Choice, Grammar, InvalidGrammar, JsonObject, JsonSchema, Lark, Regex
from engine.embedded.sampling.digits import DigitLimit, DigitTokens
from engine.embedded.sampling.special_tokens import with_secret_names

# Far below the library's own limits, which allow steps of seconds: a step of the engine waits for each of its answers. Large
# expressions are not evaluated on the whole vocabulary in advance, which takes minutes for some.
LIMITS = LLParserLimits(
    initial_lexer_fuel=300_000,
    step_lexer_fuel=50_000,
    step_max_items=20_000,
    max_lexer_states=30_000,
    max_grammar_size=200_000,
    precompute_large_lexemes=False,
    verbose_errors=False,
)
MAX_SOURCE = 1 << 20  # characters of one grammar
MAX_COMPILED = 16 << 20  # characters of all compiled grammars that are kept, as they were given
MAX_REASON = 500  # characters
PROBE_STEPS, PROBE_SECONDS = 300, 1.0
MAX_CONTINUING = 3  # bytes of a character behind its first
SHORT_IDS = 512  # tokens of byte-level vocabularies below this have few characters
TOO_MANY_STATES = f"an expression needs more than the limit of {LIMITS.max_lexer_states} states (repetitions of what reads in several ways)"
TOO_SLOW = f"{PROBE_STEPS} tokens take longer than the limit of {PROBE_SECONDS:g} s"
REPEATED_GROUP = re.compile(r"\)\s*[{*+]")  # expressions that may need more states than there is memory for have one

# a model left free to add white space may do so for ever
_WHITESPACE = r"( |\n[ \t]{0,24})?"


class GrammarFailed(Exception):
    """The matcher cannot say any more what is allowed."""


class Matcher:
    """One answer's place in its grammar."""

    def __init__(
        self, matcher: LLMatcher, end_tokens: NDArray[np.int64], digits: DigitLimit | None = None, continuing: Sequence[int] = ()
    ) -> None:
        """`end_tokens`: the tokenizer's own end-of-text tokens. `digits`: for JSON. `continuing`: tokens of bytes within characters."""
        self._matcher, self._end_tokens, self._digits, self._continuing = matcher, end_tokens, digits, continuing

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
        if self._digits is not None:
            self._digits.restrict(mask)
        if not mask.any():
            raise GrammarFailed("no token is allowed")
        return mask

    def consume(self, token: int) -> bool:
        """True when the grammar is complete and nothing may follow. After an error it is False, and the next call of
        `allowed` raises."""
        self._matcher.consume_token(token)
        if self._digits is not None:
            self._digits.accept(token)
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def end_character(self, before: int) -> None:
        """Where the text has only a part of a character, the grammar is told of some rest, so that `before` may come next: a text that
        is ended by force may end anywhere."""
        for _ in range(MAX_CONTINUING):
            if self._matcher.validate_tokens([before]):
                return
            rest = next((token for token in self._continuing if self._matcher.validate_tokens([token])), None)
            if rest is None:
                return
            self._matcher.consume_token(rest)

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

    def __init__(self, tokenizer_json: str, vocab: int, end_tokens: Sequence[int], keep: int = 64) -> None:
        """`tokenizer_json`: content of tokenizer.json; `vocab`: width of the logits; `end_tokens`: tokens that end text; `keep`:
        compiled grammars to remember."""
        self._tokenizer_json, self._vocab, self._end_tokens, self._keep = tokenizer_json, vocab, list(end_tokens), keep
        self._tokenizer: LLTokenizer | None = None
        self._digit_tokens: DigitTokens | None = None
        self._compiled: OrderedDict[tuple[str, Grammar], LLMatcher] = OrderedDict()
        self._lock = Lock()

    def compile(self, grammar: Grammar, owner: str = "") -> Matcher:
        """What was compiled for one `owner` takes another as long as ever. Raises InvalidGrammar."""
        matcher = self._recall((owner, grammar))
        if matcher is None:
            matcher = self._new(grammar)
            self._remember((owner, grammar), matcher)
        digits = DigitLimit(self._digits()) if _has_numbers(grammar) else None
        return Matcher(matcher.deep_copy(), np.array(self._end_tokens, np.int64), digits, self._digits().continuing)

    def _recall(self, key: tuple[str, Grammar]) -> LLMatcher | None:
        with self._lock:
            if key in self._compiled:
                self._compiled.move_to_end(key)
            return self._compiled.get(key)

    def _remember(self, key: tuple[str, Grammar], matcher: LLMatcher) -> None:
        with self._lock:
            self._compiled[key] = matcher
            while len(self._compiled) > self._keep or sum(_size(grammar) for _, grammar in self._compiled) > MAX_COMPILED:
                self._compiled.popitem(last=False)

    def _new(self, grammar: Grammar) -> LLMatcher:
        """Outside the lock: a large grammar takes seconds, and others need not wait for it."""
        if (size := _size(grammar)) > MAX_SOURCE:
            raise InvalidGrammar(f"the grammar cannot be used: it has {size} characters; the limit is {MAX_SOURCE}")
        source = _source(grammar)
        matcher = LLMatcher(self.tokenizer(), source, log_level=0, limits=LIMITS)
        matcher.compute_bitmask()  # only then does it notice that nothing is possible
        if matcher.is_error():
            raise InvalidGrammar(f"the grammar cannot be used: {reason(matcher.get_error())}")
        if matcher.is_stopped():
            raise InvalidGrammar("the grammar cannot be used: it matches no text")
        if REPEATED_GROUP.search(source):
            for ids in (self._vocab, SHORT_IDS):
                _probe(matcher.deep_copy(), ids)
        return matcher

    def prepare(self) -> None:
        """Reads the vocabulary, which takes a quarter of a second and holds the GIL: at start, as otherwise every stream would wait for
        the first grammar."""
        self._digits()

    def _digits(self) -> DigitTokens:
        tokenizer = self.tokenizer()
        with self._lock:
            if self._digit_tokens is None:
                self._digit_tokens = DigitTokens(tokenizer)
            return self._digit_tokens

    def tokenizer(self) -> LLTokenizer:
        """Loaded on first use."""
        with self._lock:
            if self._tokenizer is None:
                source = with_secret_names(self._tokenizer_json)
                self._tokenizer = LLTokenizer(source, n_vocab=self._vocab, eos_token=self._end_tokens)
                self._tokenizer_json = ""
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
    return "start: OPTION\nOPTION: " + " | ".join(map(json.dumps, options))


def _has_numbers(grammar: Grammar) -> bool:
    """Whether it makes JSON, in which numbers are as long as the model likes."""
    return isinstance(grammar, JsonSchema | JsonObject) or (isinstance(grammar, Lark) and "%json" in grammar.source)


def _size(grammar: Grammar) -> int:
    """Characters."""
    match grammar:
        case JsonSchema(schema=text) | Regex(pattern=text) | Lark(source=text):
            return len(text)
        case Choice(options=options):
            return sum(map(len, options))
        case JsonObject():
            return 0


def _probe(matcher: LLMatcher, ids: int) -> None:
    """Walks through the grammar at random, with tokens below `ids` where there is one: an expression that grows with the text shows it.
    Raises InvalidGrammar."""
    random, deadline = np.random.default_rng(0), time.monotonic() + PROBE_SECONDS
    for _ in range(PROBE_STEPS):
        allowed = np.flatnonzero(np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little"))
        if matcher.is_error() or time.monotonic() > deadline:
            raise InvalidGrammar(f"the grammar cannot be used: {reason(matcher.get_error()) or TOO_SLOW}")
        if matcher.is_stopped() or not len(allowed):
            return
        low = allowed[: int(np.searchsorted(allowed, ids))]
        matcher.consume_token(int(random.choice(low if len(low) else allowed)))


def reason(error: str) -> str:
    """llguidance's error without its state and what only its authors understand."""
    message = re.split(r"\n?<(?:state|backtrace|non-verbose)", error)[0].strip()
    if message.startswith("panic") or "lexer error" in message or "too many expressions" in message:
        return TOO_MANY_STATES
    return message[:MAX_REASON]
