"""Beams and what is forced or forbidden in answers, against transformers' generation."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import NoRepeatNGramLogitsProcessor

from engine.api import Beams, Delta, EngineError, JsonObject, Request, Sampling
from engine.embedded.beams import BeamSearch
from engine.embedded.engine import EmbeddedEngine
from engine.embedded.load import LoadOptions, load_model
from engine.embedded.sampling.no_repeat import NoRepeat
from tests.engine.test_encoder_decoder import LIMITED
from tests.engine.tiny import PLAIN, collect, greedy, loaded, running
from tests.models.encoder_decoder_world import make, some_tokens, their_answer
from tests.models.test_encoder_decoders import tiny

UNTIL = {"full": True, "likely": False, "certain": "never"}


def ask(folder: Path, requests: list[Request]) -> list[Delta]:
    """All at once."""

    async def run() -> list[Delta]:
        options = LoadOptions(kv_memory=1 << 22, dtype=torch.float32, limits=LIMITED, threads=1)
        engine = EmbeddedEngine(load_model(folder, options))
        try:
            return await asyncio.gather(*(collect(engine, request) for request in requests))
        finally:
            stats = engine.stats()
            assert stats.pages_used == 0 and stats.running == stats.waiting == 0
            await engine.close()

    return asyncio.run(run())


# what ends an answer is chosen so that beams end at several lengths
SEARCHES: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
    (2, {}, {}),
    (4, {"length_penalty": 0.0}, {}),
    (3, {"until": "full"}, {}),
    (3, {"until": "certain", "length_penalty": 2.0}, {}),
    (4, {"length_penalty": -0.5}, {"no_repeat": 2}),
    (4, {}, {"no_repeat": 3, "forced_first": 0, "forced_last": 5}),
    (5, {}, {"min_tokens": 4, "bad_words": ((9,), (17, 30)), "not_first": (12, 13)}),
]


def theirs_of(width: int, beams: dict[str, Any], sampling: dict[str, Any], ends: list[int]) -> dict[str, Any]:
    return {
        "num_beams": width,
        "length_penalty": beams.get("length_penalty", 1.0),
        "early_stopping": UNTIL[beams.get("until", "likely")],
        "no_repeat_ngram_size": sampling.get("no_repeat", 0),
        "forced_bos_token_id": sampling.get("forced_first"),
        "forced_eos_token_id": sampling.get("forced_last"),
        "min_new_tokens": sampling.get("min_tokens", 0),
        "bad_words_ids": [list(word) for word in sampling.get("bad_words", ())] or None,
        "begin_suppress_tokens": list(sampling.get("not_first", ())) or None,
        "eos_token_id": ends,
    }


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize(("width", "beams", "sampling"), SEARCHES)
def test_beams_as_transformers_has_them(family: str, width: int, beams: dict[str, Any], sampling: dict[str, Any], tmp_path: Path) -> None:
    theirs = make(tiny(family))
    theirs.save_pretrained(tmp_path)
    begin, inputs = theirs.config.decoder_start_token_id, some_tokens([30, 3, 17], seed=width)
    ends = random.Random(width).sample(range(256), 40)
    wanted = Sampling(max_tokens=20, temperature=0, stop_tokens=frozenset(ends), beams=Beams(width=width, **beams), **sampling)
    found = ask(tmp_path, [Request(tokens=(begin,), sampling=wanted, encoder=tuple(read.tolist())) for read in inputs])
    for read, delta in zip(inputs, found, strict=True):
        answer = their_answer(theirs, read, [begin], 20, **theirs_of(width, beams, sampling, ends))
        answer = answer[1 : next((i for i, token in enumerate(answer) if i > 0 and token in ends), len(answer)) + 1]
        assert list(delta.tokens) == answer
        assert delta.finish == ("stop" if answer[-1] in ends else "length")
        assert delta.usage is not None and delta.usage.prompt == len(read) + 1 and delta.usage.completion == len(answer)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_nothing_is_repeated(size: int) -> None:
    rnd = random.Random(size)
    for _ in range(100):
        tokens = rnd.choices(range(4), k=rnd.randint(1, 12))
        at = rnd.randint(0, len(tokens))
        ours = NoRepeat(size, tokens[:at])
        for token in tokens[at:]:
            ours.accept(token)
        scores = NoRepeatNGramLogitsProcessor(size)(torch.LongTensor([tokens]), torch.zeros(1, 4))
        assert ours.forbidden().tolist() == np.flatnonzero(np.isinf(scores[0].numpy())).tolist()


def test_first_and_last_tokens_are_forced() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN)) as engine:
            free = Request(tokens=(1, 2, 3), sampling=greedy(6))
            first = (await collect(engine, free)).tokens[0]
            forced = replace(free, sampling=replace(free.sampling, forced_first=7, forced_last=8, stop_tokens=frozenset({8})))
            delta = await collect(engine, forced)
            assert (delta.tokens[0], delta.tokens[-1], len(delta.tokens), delta.finish) == (7, 8, 6, "stop")
            kept = await collect(engine, replace(free, sampling=replace(free.sampling, not_first=(first,))))
            assert kept.tokens[0] != first
            context = engine.info.context
            long = Request(tokens=(1,) * (context - 3), sampling=replace(forced.sampling, max_tokens=50))
            assert (await collect(engine, long)).tokens[2] == 8  # the last that fits

    asyncio.run(run())


def test_what_does_not_go_together() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN)) as engine:
            request = Request(tokens=(1, 2, 3), sampling=greedy(6, beams=Beams(width=2)))
            assert len((await collect(engine, request)).tokens) == 6
            for wrong, told in (
                (replace(request, sampling=replace(request.sampling, temperature=0.5)), "a temperature other than 0"),
                (replace(request, sampling=replace(request.sampling, logprobs=1)), "logprobs"),
                (replace(request, grammar=JsonObject()), "a grammar"),
                (replace(request, sampling=replace(request.sampling, beams=Beams(width=0))), "width = 0 must be positive"),
                (replace(request, sampling=replace(request.sampling, max_tokens=0)), "max_tokens must be 1 at least"),
                (replace(request, sampling=greedy(3, forced_first=1), grammar=JsonObject()), "cannot be beside a grammar"),
                (replace(request, sampling=greedy(3, forced_first=200)), "token 200 is not in the vocabulary"),
                (replace(request, sampling=greedy(3, no_repeat=-1)), "no_repeat = -1"),
            ):
                with pytest.raises(EngineError, match=told):
                    await collect(engine, wrong)

    asyncio.run(run())


def test_closing_a_search_frees_its_pages() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN)) as engine:
            task = asyncio.create_task(collect(engine, Request(tokens=(1, 2, 3), sampling=greedy(100, beams=Beams(width=4)))))
            while not engine.stats().generated_tokens > 8:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while engine.stats().running or engine.stats().waiting:
                await asyncio.sleep(0)
            assert engine.stats().pages_used == 0

    asyncio.run(run())


def test_a_search_without_numbers_ends() -> None:
    state = BeamSearch(Beams(width=3), frozenset(), 5)
    state.advance([[]])
    assert state.done and not state.ended
