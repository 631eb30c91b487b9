"""Answers in a grammar that are brought to their end: valid, in time, and never if they would have fitted."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from engine.api import Choice, Closing, Delta, Grammar, JsonObject, JsonSchema, Lark, Regex, Request, Sampling
from engine.embedded.sampling.closing import LOOP_LENGTH, MAX_PERIOD, Closer, Closers
from engine.embedded.sampling.grammar import GrammarCompiler, Matcher
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.sampling.shortest_end import EndFinder
from engine.embedded.sequence import Sequence
from models.spec import Causal
from tests.engine.tiny import arch, collect, loaded, running

END, TURN = 0, 1
VOCAB = 320
MODEL = arch(Causal(), vocab=VOCAB)
STRING, INTEGER, URI = {"type": "string"}, {"type": "integer"}, {"type": "string", "format": "uri"}


def closed_object(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    required = [*properties] if required is None else required
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def array(items: Any, **bounds: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **bounds}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of bytes and a few merges."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    special, alphabet = ["<|end|>", "<|turn|>"], pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(['{"name": "Bob", "age": 12, "tags": ["a", "b"]}', "yes no maybe true false null"] * 3, trainer)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.fixture(scope="module")
def grammars(path: Path) -> GrammarCompiler:
    return GrammarCompiler(path.read_text(), VOCAB, (END, TURN))


@pytest.fixture(scope="module")
def closers(grammars: GrammarCompiler) -> Closers:
    return Closers(grammars.tokenizer)


def at(grammars: GrammarCompiler, grammar: Grammar, start: str) -> Matcher:
    made = grammars.compile(grammar)
    for token in grammars.tokenizer().tokenize_bytes(start.encode(errors="surrogateescape")):
        made.consume(token)
    return made


def end_of(grammars: GrammarCompiler, grammar: Grammar, start: str = "", marks: tuple[str, ...] = ()) -> str | None:
    made, finder = at(grammars, grammar, start), EndFinder(grammars.tokenizer(), marks)
    units = finder.find(made.fork())
    if units is None:
        return None
    text = grammars.tokenizer().decode_bytes(finder.to_tokens(made.fork(), units))
    return (start.encode(errors="surrogateescape") + text).decode()


LINES = array(closed_object(sku=STRING, amount=INTEGER), minItems=2)
ENDS = [  # schema, what has been written, the longest that an end may be
    (closed_object(city=STRING, population=INTEGER), "", '{"city":"","population":0}'),
    (closed_object(city=STRING, population=INTEGER), '{"city": "Ro', '{"city": "Ro","population":0}'),
    (closed_object(["c"], a=INTEGER, b=closed_object(x=STRING, y=STRING), c=STRING, d=STRING), "{", '{"c":""}'),
    (closed_object(["z"], a=INTEGER, z=STRING), '{"a": 5, "', '{"a": 5, "z":""}'),
    (closed_object(lines=LINES), '{"lines": [{"sku": "a', '{"lines": [{"sku": "a","amount":0},{"sku":"","amount":0}]}'),
    (closed_object(a={"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}), "", '{"a":null}'),
    (closed_object(mood={"enum": ["excellent", "good", "bad"]}), "", '{"mood":"bad"}'),
    (closed_object(n={"type": "integer", "minimum": 1000, "maximum": 1010}), '{"n": 1', '{"n": 1000}'),
    (closed_object(n={"type": "number"}), '{"n": 1.', '{"n": 1.0}'),
    (closed_object(a=STRING), '{"a": "x\\', '{"a": "x\\""}'),
    (closed_object(a=STRING), '{"a": "x\\u00', '{"a": "x\\u0000"}'),
    (closed_object(a=STRING), '{"a": "caf\udcc3', '{"a": "caf\N{LATIN CAPITAL LETTER A WITH GRAVE}"}'),  # the first byte of two
    ({"type": "object"}, '{"a": [1, {"b": "c', '{"a": [1, {"b": "c"}]}'),
    (array(URI, minItems=1), "", '["a.:"]'),
    (closed_object(a={"type": "string", "minLength": 30}), '{"a": "', '{"a": "' + 30 * " " + '"}'),
]


@pytest.mark.parametrize(("schema", "start", "longest"), ENDS, ids=[longest for *_, longest in ENDS])
def test_the_shortest_end_is_found(grammars: GrammarCompiler, schema: dict[str, Any], start: str, longest: str) -> None:
    ended = end_of(grammars, JsonSchema(schema=json.dumps(schema)), start)
    assert ended is not None and len(ended) <= len(longest), ended
    jsonschema.validate(json.loads(ended), schema)


FORMATS = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"]
PATTERNS = ["^[a-z ]+@[a-z]+$", "^[A-Z]{2}-[0-9]{4}$", "^(foo|bar)+$", "^[0-9]{3,}$", "^.{50,60}$"]


@pytest.mark.parametrize("form", [*({"format": name} for name in FORMATS), *({"pattern": pattern} for pattern in PATTERNS)], ids=str)
def test_strings_of_a_given_form_are_ended(grammars: GrammarCompiler, form: dict[str, str]) -> None:
    schema = closed_object(a={"type": "string", **form})
    ended = end_of(grammars, JsonSchema(schema=json.dumps(schema)))
    assert ended is not None and len(ended) < 120
    jsonschema.validate(json.loads(ended), schema)


def test_other_grammars_are_ended(grammars: GrammarCompiler) -> None:
    assert end_of(grammars, Regex(pattern="[a-z]{3}-[0-9]{2}"), "ab") == "aba-00"
    assert end_of(grammars, Choice(options=("maybe", "yes", "no"))) == "no"
    assert end_of(grammars, JsonObject()) == "{}"
    marked = Lark(source='start: r "!"\nr[lazy]: T "</p>"\nT: /(?s:.*)/')
    assert end_of(grammars, marked, 'a "', ("</p>",)) == 'a "</p>!'


def test_where_no_end_is_found_none_is_made_up(grammars: GrammarCompiler) -> None:
    assert end_of(grammars, Regex(pattern="a[ab]*c{9}d")) is None or end_of(grammars, Regex(pattern=".*foo")) is None


def write(closers: Closers, made: Matcher, grammar: Grammar, wanted: Callable[[int], int], most: int) -> tuple[list[int], Closer]:
    """What becomes of a model that writes the token `wanted(i)` in the i-th place, where the grammar allows it."""
    asked = Request(tokens=(5,), sampling=Sampling(max_tokens=most), grammar=grammar, closing=Closing())
    closer, written, stop = closers.new(asked, made, most), list[int](), frozenset({TURN})
    while len(written) < most and not closer.done and not closer.stuck:
        allowed = np.flatnonzero(made.allowed(stop))
        token = wanted(len(written))
        possible = token if token in allowed else int(allowed[0])
        token = closer.next_token() if closer.begun else closer.choose(made, possible, stop)
        if token in stop:
            break
        written.append(token)
        closer.accept(token)
        if made.consume(token):
            break
    return written, closer


@pytest.mark.parametrize("most", range(1, 90, 4))
@pytest.mark.parametrize("schema", [closed_object(city=STRING, population=INTEGER), closed_object(lines=LINES)], ids=["flat", "nested"])
def test_whatever_is_written_ends_in_time(grammars: GrammarCompiler, closers: Closers, schema: dict[str, Any], most: int) -> None:
    """If the shortest end fits, and with any text: what opens brackets at the last moment must not be taken."""
    grammar = JsonSchema(schema=json.dumps(schema))
    finder = EndFinder(grammars.tokenizer())
    least = finder.to_tokens(grammars.compile(grammar).fork(), finder.find(grammars.compile(grammar).fork()) or ())
    likely = grammars.tokenizer().tokenize_str('{[",:}]0ab')
    for seed in range(3):
        wanted = np.random.default_rng(seed).choice(likely, most)
        written, closer = write(closers, grammars.compile(grammar), grammar, lambda i, wanted=wanted: int(wanted[i]), most)
        if len(least) <= most:
            jsonschema.validate(json.loads(grammars.tokenizer().decode_str(written)), schema)
        else:
            assert len(written) == most and not closer.begun


def test_an_answer_that_fits_is_never_cut(grammars: GrammarCompiler, closers: Closers) -> None:
    """To the token: with one less it is brought to its end."""
    grammar = JsonSchema(schema=json.dumps(closed_object(name=STRING, tags=array(STRING))))
    said = grammars.tokenizer().tokenize_str('{"name": "Bob", "tags": ["a", "b", "c"]}')
    for most in range(len(said), len(said) + 3):
        written, closer = write(closers, grammars.compile(grammar), grammar, lambda i: said[i], most)
        assert written == said and not closer.begun
    written, closer = write(closers, grammars.compile(grammar), grammar, lambda i: said[i], len(said) - 1)
    assert closer.begun and json.loads(grammars.tokenizer().decode_str(written))["name"] == "Bob"


def test_circles_are_ended_long_before_the_limit(grammars: GrammarCompiler, closers: Closers) -> None:
    grammar, words = JsonSchema(schema='{"type": "string"}'), grammars.tokenizer().tokenize_str("a, b")
    quote = grammars.tokenizer().tokenize_str('"')
    written, closer = write(closers, grammars.compile(grammar), grammar, lambda i: (quote + words * 1000)[i], 3000)
    assert closer.begun and LOOP_LENGTH <= len(written) < LOOP_LENGTH + 2 * MAX_PERIOD
    assert json.loads(grammars.tokenizer().decode_str(written)).startswith("a, ba, b")
    counting = grammars.tokenizer().tokenize_str('"' + "".join(map(str, range(300))))
    written, closer = write(closers, grammars.compile(grammar), grammar, lambda i: counting[i], 400)
    assert closer.begun and len(written) == 400


def test_circles_whose_end_is_not_found_are_given_up(grammars: GrammarCompiler, closers: Closers) -> None:
    grammar = Regex(pattern="(a|ab)*c{9}dkqz{60}")
    asked = Request(tokens=(5,), sampling=Sampling(max_tokens=4000, temperature=0), grammar=grammar)
    made, likes_a = grammars.compile(grammar), np.zeros(VOCAB, np.float32)
    likes_a[grammars.tokenizer().tokenize_str("a")[0]] = 5
    closer = Closer(EndFinder(grammars.tokenizer()), None, 4000)
    closer._ends.find = lambda matcher, known=(), max_steps=0: None  # type: ignore[method-assign]
    sequence = Sequence(asked, 0, 4001, [], TokenSampler(asked.sampling, 1, asked.tokens, made, closer))
    while sequence.finish is None:
        token = sequence.sampler.choose(likes_a)
        assert token is not None
        sequence.append(token, None)
    assert sequence.finish == "length" and LOOP_LENGTH <= sequence.generated < LOOP_LENGTH + 2 * MAX_PERIOD


def deltas(path: Path, grammar: Grammar, count: int, **options: Any) -> list[Delta]:
    """Of a random model."""
    base = Sampling(**{"max_tokens": 60, "temperature": 0.7, "stop_tokens": frozenset({TURN}), **options})
    asked = [Request(tokens=(5, 6, i), sampling=replace(base, seed=i), grammar=grammar, closing=Closing()) for i in range(count)]

    async def run() -> list[Delta]:
        async with running(loaded(MODEL, path, (END, TURN))) as engine:
            return await asyncio.gather(*(collect(engine, one) for one in asked))

    return asyncio.run(run())


def test_the_engine_says_that_it_has_ended_an_answer(path: Path, grammars: GrammarCompiler) -> None:
    schema = closed_object(words=array(STRING, minItems=1), note={"type": "string", "minLength": 20}, mood={"enum": ["good", "bad"]})
    for delta in deltas(path, JsonSchema(schema=json.dumps(schema)), 6, max_tokens=90):
        text = grammars.tokenizer().decode_str([token for token in delta.tokens if token not in (END, TURN)])
        jsonschema.validate(json.loads(text), schema)
        assert delta.finish == "length"


def test_text_that_could_end_anywhere_is_left_alone(path: Path) -> None:
    """Free text, in which a call may begin but has not."""
    grammar = Lark(source='start: TEXT | TEXT "<call>" %json {"type": "object"}\nTEXT: /(.|\\n)*/')
    assert len(deltas(path, grammar, 1, stop_tokens=frozenset())[0].tokens) == 60
