"""Grammars, with a random model that would never write JSON by itself: what comes out must parse."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llguidance import LLParserLimits
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from engine.api import Choice, Delta, Grammar, InvalidGrammar, JsonObject, JsonSchema, Lark, Regex, Request, Sampling
from engine.embedded.sampling.grammar import GrammarCompiler, GrammarFailed, Matcher
from models.spec import Causal
from tests.engine.tiny import arch, collect, loaded, running

END, TURN = 0, 1
VOCAB = 320  # wider than the tokenizer, as checkpoints often are
MODEL = arch(Causal(), vocab=VOCAB)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Bytes and a few merges."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    special, alphabet = ["<|end|>", "<|turn|>"], pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(['{"name": "Bob", "age": 12, "tags": ["a", "b"]}', "yes no maybe true false null"] * 3, trainer)
    return made


@pytest.fixture(scope="module")
def path(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="module")
def grammars(path: Path) -> GrammarCompiler:
    return GrammarCompiler(path.read_text(), VOCAB, (END, TURN))


def ask(grammar: Grammar, seed: int, **options: Any) -> Request:
    sampling = Sampling(**{"max_tokens": 120, "temperature": 0.7, "seed": seed, "stop_tokens": frozenset({TURN}), **options})
    return Request(tokens=(5, 6, 7, seed), sampling=sampling, grammar=grammar)


def answers(path: Path, grammar: Grammar, count: int = 6, **options: Any) -> list[Delta]:
    async def run() -> list[Delta]:
        async with running(loaded(MODEL, path, (END, TURN))) as engine:
            return await asyncio.gather(*(collect(engine, ask(grammar, seed, **options)) for seed in range(count)))

    return asyncio.run(run())


def text(tokenizer: Tokenizer, delta: Delta) -> str:
    return tokenizer.decode([t for t in delta.tokens if t not in (END, TURN)], skip_special_tokens=False)


SCHEMA = {
    "type": "object",
    "properties": {
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "mood": {"enum": ["good", "bad"]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
    },
    "required": ["age", "mood", "tags"],
    "additionalProperties": False,
}


def test_json_schema(path: Path, tokenizer: Tokenizer) -> None:
    for delta in answers(path, JsonSchema(schema=json.dumps(SCHEMA)), max_tokens=150):
        assert delta.finish == "stop"
        value = json.loads(text(tokenizer, delta))
        assert sorted(value) == ["age", "mood", "tags"]
        assert 0 <= value["age"] <= 130
        assert value["mood"] in ("good", "bad")
        assert len(value["tags"]) <= 3


def test_what_cannot_be_enforced_is_left_out_on_demand(path: Path, tokenizer: Tokenizer) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "boolean", "not": {"const": True}}},
        "required": ["a"],
        "additionalProperties": False,
    }
    found = [json.loads(text(tokenizer, delta)) for delta in answers(path, JsonSchema(schema=json.dumps(schema), lenient=True))]
    assert all(value in ({"a": True}, {"a": False}) for value in found)


def test_json_object(path: Path, tokenizer: Tokenizer) -> None:
    deltas = answers(path, JsonObject(), logit_bias=tuple((tokenizer.encode("}").ids[0], 6.0) for _ in range(1)))
    done = [json.loads(text(tokenizer, delta)) for delta in deltas if delta.finish == "stop"]
    assert done
    assert all(isinstance(value, dict) for value in done)


def test_regex(path: Path, tokenizer: Tokenizer) -> None:
    for delta in answers(path, Regex(pattern=r"\d{4}-\d{2}/[a-c]+")):
        assert delta.finish == "length" or re.fullmatch(r"\d{4}-\d{2}/[a-c]+", text(tokenizer, delta))


def test_choice(path: Path, tokenizer: Tokenizer) -> None:
    options = ("yes", 'no "way"\n/\\', "größer", "ye", "<|end|>")
    got = {text(tokenizer, delta) for delta in answers(path, Choice(options=options), count=12)}
    assert got <= set(options)
    assert len(got) > 1


def test_ends_at_once_when_nothing_may_follow(path: Path) -> None:
    """No stop token is needed, even when the caller accepts none."""
    for delta in answers(path, Choice(options=("yes",)), stop_tokens=frozenset()):
        assert delta.finish == "stop"
        assert not {END, TURN} & set(delta.tokens)


def test_greedy_and_with_logprobs(path: Path, tokenizer: Tokenizer) -> None:
    first, *others = answers(path, JsonSchema(schema='{"type": "boolean"}'), temperature=0, logprobs=2, count=2)
    assert text(tokenizer, first) in ("true", "false")
    assert len(first.logprobs) == len(first.tokens)
    assert others


@pytest.mark.parametrize(
    "grammar",
    [
        JsonSchema(schema='{"type": "integer", "minimum": 5, "maximum": 3}'),
        JsonSchema(schema='{"enum": []}'),
        JsonSchema(schema='{"type": "strin"}'),
        JsonSchema(schema='{"not": {"type": "string"}}'),
        JsonSchema(schema='{"not": {}, "x-guidance": {"lenient": true}}'),
        JsonSchema(schema='{"type": "object", "properties": {"a": false}, "required": ["a"]}'),
        JsonSchema(schema='{"$ref": "#/nowhere"}'),
        JsonSchema(schema='{"type": "string", "minLength": 5, "maxLength": 2}'),
        JsonSchema(schema="false"),
        JsonSchema(schema="{"),
        JsonSchema(schema="[]"),
        Regex(pattern="("),
        Regex(pattern="(?=a)b"),
        Regex(pattern=r"[^\s\S]"),
        Choice(options=()),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused(path: Path, grammar: Grammar) -> None:
    async def run() -> None:
        async with running(loaded(MODEL, path, (END, TURN))) as engine:
            with pytest.raises(InvalidGrammar):
                await collect(engine, ask(grammar, 0))
            assert not engine.stats().prompt_tokens

    asyncio.run(run())


def matcher(grammars: GrammarCompiler, tokenizer: Tokenizer, grammar: Grammar, start: str) -> Matcher:
    made = grammars.compile(grammar)
    for token in tokenizer.encode(start).ids:
        made.consume(token)
    return made


def test_stop_tokens_only_when_complete(grammars: GrammarCompiler, tokenizer: Tokenizer) -> None:
    both, turn = frozenset({END, TURN}), frozenset({TURN})
    grammar = Regex(pattern="ab*")
    assert not matcher(grammars, tokenizer, grammar, "").allowed(both)[[END, TURN]].any()
    assert matcher(grammars, tokenizer, grammar, "ab").allowed(both)[[END, TURN]].all()
    assert matcher(grammars, tokenizer, grammar, "ab").allowed(turn)[[END, TURN]].tolist() == [False, True]


def test_a_failed_matcher_allows_nothing(grammars: GrammarCompiler, tokenizer: Tokenizer) -> None:
    broken = matcher(grammars, tokenizer, Regex(pattern="ab*"), "zz")
    with pytest.raises(GrammarFailed):
        broken.allowed(frozenset())


def test_compiled_grammars_are_remembered_but_not_shared(path: Path, tokenizer: Tokenizer) -> None:
    small = GrammarCompiler(path.read_text(), VOCAB, (END,), keep=1)
    grammar = Regex(pattern="abc")
    for _ in range(2):
        assert not matcher(small, tokenizer, grammar, "ab").consume(tokenizer.encode("z").ids[0])
        assert matcher(small, tokenizer, grammar, "ab").consume(tokenizer.encode("c").ids[0])
        small.compile(Regex(pattern="x"))


@pytest.mark.parametrize(("step", "finish"), [(3, "length"), (0, None)])
def test_a_grammar_that_fails(path: Path, monkeypatch: pytest.MonkeyPatch, step: int, finish: str | None) -> None:
    """Never free text: when the matcher gives up, the answer has become as long as it can; one without a token is an error."""
    allowed = Matcher.allowed
    calls = iter(range(100))

    def failing(self: Matcher, stop: frozenset[int]) -> np.ndarray:
        if next(calls) == step:
            raise GrammarFailed("panic: assertion failed <backtrace> 0: <unknown>")
        return allowed(self, stop)

    monkeypatch.setattr(Matcher, "allowed", failing)

    async def run() -> Delta:
        async with running(loaded(MODEL, path, (END, TURN))) as engine:
            return await collect(engine, ask(JsonObject(), 0))

    if finish is None:
        with pytest.raises(InvalidGrammar, match=r"^the grammar cannot be used: an expression needs more than the limit of \d+ states"):
            asyncio.run(run())
    else:
        delta = asyncio.run(run())
        assert (delta.finish, len(delta.tokens)) == (finish, step)


@pytest.mark.parametrize(
    "grammar",
    [
        Regex(pattern="(.*[ab].{60}){3}"),
        Regex(pattern="(.*[a-m].{60}){3}z"),
        JsonSchema(schema=json.dumps({"type": "object", "properties": {"a": {"pattern": "^(a?){200}a{200}$"}}, "required": ["a"]})),
        Lark(source="start: " + "x" * (1 << 20)),
    ],
    ids=lambda grammar: str(grammar)[:40],
)  # fmt: skip
def test_what_needs_too_much_is_refused_at_once(grammars: GrammarCompiler, grammar: Grammar, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are those of vocabularies a hundred times as large."""
    monkeypatch.setattr("engine.embedded.sampling.grammar.LIMITS", LLParserLimits(step_lexer_fuel=300, verbose_errors=False))
    with pytest.raises(InvalidGrammar, match=r"limit of|the limit is") as refused:
        grammars.compile(grammar)
    assert not any(word in str(refused.value) for word in ("panic", "backtrace", "<", "\n"))


@pytest.mark.parametrize(
    "pattern",
    [r"([a-z0-9]{1,63}\.){1,8}[a-z]{2,63}", r"(\d{1,3}\.){3}\d{1,3}", r"([a-z ]+, ){0,10}[a-z ]+\.", r"(- [^\n]+\n){3,10}"],
)
def test_repeated_groups_of_ordinary_patterns(grammars: GrammarCompiler, pattern: str) -> None:
    grammars.compile(Regex(pattern=pattern))


def test_many_options(grammars: GrammarCompiler, tokenizer: Tokenizer) -> None:
    matcher = grammars.compile(Choice(options=tuple(f"option {i}" for i in range(10_000))))
    for token in tokenizer.encode("option 77").ids:
        assert matcher.allowed(frozenset())[token]
        matcher.consume(token)
    assert matcher.complete


def test_white_space_is_bounded(grammars: GrammarCompiler, tokenizer: Tokenizer) -> None:
    """A model left free to add spaces may do so for ever."""
    made = matcher(grammars, tokenizer, JsonObject(), "{\n" + " " * 24)
    mask = made.allowed(frozenset())
    assert not mask[tokenizer.encode(" ").ids[0]]
    assert mask[tokenizer.encode("}").ids[0]]


NUMBERS: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "integer"}, "-1234567890123456789", "0"),
    ({"type": "number"}, "1234567890123456789", "0"),
    ({"type": "number"}, "-0.1234567890123456789", "0"),
    ({"type": "number"}, "2.5e+30", "0"),
    ({"type": "integer", "minimum": 0}, "1234567890123456789", "0"),
    ({"type": "number", "minimum": 0, "maximum": 1}, "0.1234567890123456789", "0"),
]


@pytest.mark.parametrize(("schema", "written", "more"), NUMBERS)
def test_a_number_has_an_end(grammars: GrammarCompiler, tokenizer: Tokenizer, schema: dict[str, Any], written: str, more: str) -> None:
    """Digit after digit is allowed up to there, then anything but one."""
    matcher = grammars.compile(JsonSchema(schema=json.dumps({"type": "array", "items": schema})))
    for token in tokenizer.encode(f"[1, {written}").ids:
        assert matcher.allowed(frozenset({TURN}))[token]
        matcher.consume(token)
    allowed = matcher.allowed(frozenset({TURN}))
    assert not allowed[tokenizer.encode(more).ids[0]]
    assert allowed[tokenizer.encode("]").ids[0]]


def test_digits_that_are_asked_for(grammars: GrammarCompiler, tokenizer: Tokenizer) -> None:
    """In texts, in patterns, and where the least number has more."""
    text, long = {"type": "string"}, "1" * 40
    schema = {"type": "array", "prefixItems": [text, {**text, "pattern": "^[0-9]{40}$"}, {"type": "integer", "minimum": 10**17}]}
    matcher = grammars.compile(JsonSchema(schema=json.dumps(schema)))
    for token in tokenizer.encode(f'["{long}", "{long}", {10**17}').ids:
        assert matcher.allowed(frozenset())[token]
        matcher.consume(token)
    number = grammars.compile(Regex(pattern="[0-9]{1,40}"))
    for token in tokenizer.encode(long).ids:
        assert number.allowed(frozenset())[token]
        number.consume(token)
