"""Budgets of thoughts are kept to the token, whatever the model would like, alone and in company, with and without a grammar."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from engine.api import Closing, Delta, EngineError, Lark, Request, Sampling, ThoughtBudget
from models.spec import Causal
from tests.engine.tiny import PLAIN, arch, collect, greedy, loaded, running

OPEN, CLOSE, GAP, VOCAB = 90, 91, 92, 96
BUDGETS = (0, 1, 50)


@dataclass
class Watch:
    """Thoughts between two tokens."""

    thinking: bool
    count: int = 0
    open: int = OPEN
    close: int = CLOSE

    def accept(self, token: int) -> None:
        was, self.thinking = self.thinking, (self.thinking or token == self.open) and token != self.close
        self.count += was and self.thinking


def budget(tokens: int, *, begun: bool = True, end: tuple[int, ...] = (CLOSE, GAP)) -> ThoughtBudget:
    return ThoughtBudget(tokens=tokens, end=end, reopening=((OPEN,),), watch=partial(Watch, begun))


def run(requests: Sequence[Request]) -> list[Delta]:
    async def all() -> list[Delta]:
        async with running(loaded(PLAIN, pages=256)) as engine:
            return await asyncio.gather(*(collect(engine, request) for request in requests))

    return asyncio.run(all())


def request(seed: int, thoughts: ThoughtBudget | None, **options: Any) -> Request:
    bias = ((CLOSE, -100.0),)  # it would think for ever
    sampling = Sampling(**{"max_tokens": 70, "temperature": 0.8, "seed": seed, "logit_bias": bias, **options})
    return Request(tokens=(5, 6, 7, seed), sampling=sampling, thoughts=thoughts)


@pytest.mark.parametrize("count", BUDGETS)
def test_thoughts_that_the_prompt_has_begun_end_after_so_many_tokens(count: int) -> None:
    """And the rest of the batch is none the wiser."""
    plain = [request(seed, None) for seed in range(3)]
    alone, mixed = run(plain), run([*plain, *(request(seed, budget(count)) for seed in range(3))])
    assert [delta.tokens for delta in mixed[:3]] == [delta.tokens for delta in alone]
    for without, limited in zip(alone, mixed[3:], strict=True):
        assert limited.tokens[:count] == without.tokens[:count]
        assert limited.tokens[count : count + 2] == (CLOSE, GAP) and CLOSE not in limited.tokens[count + 1 :]
        assert len(limited.tokens) == 70 and limited.finish == "length"


@pytest.mark.parametrize("count", BUDGETS)
def test_thoughts_that_the_model_begins_are_counted_from_there(count: int) -> None:
    """Without a budget none begin at all."""
    eager = request(1, budget(count, begun=False), logit_bias=((CLOSE, -100.0), (OPEN, 12.0)))
    (found,) = run([eager])
    if count == 0:
        assert OPEN not in found.tokens and CLOSE not in found.tokens
        return
    begin = found.tokens.index(OPEN)
    assert found.tokens[begin + 1 + count : begin + 3 + count] == (CLOSE, GAP)
    assert OPEN not in found.tokens[begin + 1 + count :], "none begin again"


@pytest.mark.parametrize("count", BUDGETS)
def test_what_ends_early_is_left_alone(count: int) -> None:
    ready = request(2, budget(count), logit_bias=((CLOSE, 50.0),), max_tokens=6)
    (found,) = run([ready])
    assert found.tokens[: 2 if count == 0 else 1] == ((CLOSE, GAP) if count == 0 else (CLOSE,))


def test_greedy_answers_and_log_probabilities_have_the_end_too() -> None:
    def asked(thoughts: ThoughtBudget | None) -> Request:
        return Request(tokens=(5, 6, 7), sampling=greedy(12, logprobs=1), thoughts=thoughts)

    free, limited = run([asked(None), asked(budget(4))])
    assert limited.tokens[:6] == (*free.tokens[:4], CLOSE, GAP)
    assert [entry.token for entry in limited.logprobs] == list(limited.tokens)
    assert all(entry.logprob <= 0 for entry in limited.logprobs)


@pytest.mark.parametrize("bad", [budget(1, end=()), budget(1, end=(VOCAB,))])
def test_an_end_that_is_none_is_refused(bad: ThoughtBudget) -> None:
    with pytest.raises(EngineError, match=r"thoughts|vocabulary"):
        run([request(0, bad)])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    special, alphabet = ["<|end|>", "<think>", "</think>"], pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=260, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(["abc"], trainer)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.mark.parametrize("count", [*BUDGETS, 130])
def test_a_grammar_goes_on_behind_the_end(path: Path, count: int) -> None:
    """Where the tokens would run out before the budget does, the closer is the first to end them."""
    tokenizer = Tokenizer.from_file(str(path))
    end, opened, closed, gap = (tokenizer.get_vocab()[token] for token in ("<|end|>", "<think>", "</think>", "Ċ"))
    source = f'start: ANY <[{closed}]> /\\n{{0,2}}/ "[" /[0-9]{{3}}/ "]"\nANY: /(?s:.*)/\n'
    watch = partial(Watch, True, open=opened, close=closed)
    thoughts = ThoughtBudget(tokens=count, end=(closed, gap), watch=watch)

    async def all() -> list[Delta]:
        async with running(loaded(arch(Causal(), vocab=264), path, (end,))) as engine:
            sampling = Sampling(max_tokens=100, temperature=0.8, seed=3, stop_tokens=frozenset({end}), logit_bias=((closed, -100.0),))
            requests = [
                Request(tokens=(5, seed), sampling=sampling, grammar=Lark(source=source), closing=Closing(), thoughts=thoughts)
                for seed in range(6, 10)
            ]
            return await asyncio.gather(*(collect(engine, request) for request in requests))

    for found in asyncio.run(all()):
        at = found.tokens.index(closed)
        assert at == count if count < 100 else at > 80
        answer = tokenizer.decode([token for token in found.tokens[at + 1 :] if token != end]).strip()
        assert answer[0] == "[" and answer[1:4].isdigit() and answer[4:] == "]"
