"""Vision-language models on the engine: what they answer is what the reference answers, in chunks, with images that were seen before, and
in company."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.api import EngineError, ImageTiles, PlacedImage, Request, Sampling, Unsupported
from engine.embedded.engine import EmbeddedEngine
from engine.embedded.load import LoadedModel, LoadOptions, load_model
from engine.embedded.memory.page_pool import PAGE
from models.families.multimodal import VISION_LANGUAGE, vision_language_family
from tests.engine.tiny import LIMITS, PLAIN, collect, loaded, running
from tests.models.vision_language_world import logits_of, make, tiles
from tests.models.world import ours


def opened(directory: Path, **limits: int) -> LoadedModel:
    options = LoadOptions(kv_memory=1 << 24, dtype=torch.float32, limits=replace(LIMITS, **limits), context=128)
    return load_model(directory, options)


def image(model: LoadedModel, seed: int, count: int = 1, sides: tuple[int, int] | None = None) -> ImageTiles:
    vision = model.info.vision
    assert vision is not None
    height, width = sides or (vision.side or 4 * vision.patch * vision.merge,) * 2
    return ImageTiles(tiles(count, height, width, seed).numpy(), (0, 0) if vision.cross is None else (1, count))


def asked(model: LoadedModel, parts: Sequence[int | ImageTiles], most: int = 6, **changes: Any) -> Request:
    """A greedy request: tokens, and images among them."""
    vision = model.info.vision
    assert vision is not None
    tokens, images = list[int](), list[PlacedImage]()
    for part in parts:
        if isinstance(part, ImageTiles):
            images.append(PlacedImage(image=part, at=len(tokens), rows=vision.rows_of(part)))
            tokens += [vision.marker] * vision.rows_of(part)
        else:
            tokens.append(part)
    return Request(tokens=tuple(tokens), images=tuple(images), sampling=Sampling(max_tokens=most, temperature=0, logprobs=0), **changes)


async def answers(engine: EmbeddedEngine, *requests: Request) -> list[list[int]]:
    return [list(delta.tokens) for delta in await asyncio.gather(*(collect(engine, request) for request in requests))]


class Oracle:
    """What the reference says of the whole text, each time anew."""

    def __init__(self, directory: Path) -> None:
        self._model = ours(directory)

    def greedy(self, request: Request) -> list[int]:
        tokens, images = list(request.tokens), [torch.from_numpy(placed.image.values) for placed in request.images]
        pictures = [(placed.image.grid, placed.image.size) for placed in request.images]
        shown = len(tokens)
        while len(tokens) < shown + request.sampling.max_tokens:
            tokens.append(int(logits_of(self._model, tokens, images, pictures, prompt=shown)[-1].argmax()))
        return tokens[shown:]


@pytest.fixture(scope="module", params=list(VISION_LANGUAGE))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp(request.param)
    make(vision_language_family(request.param).TINY).save_pretrained(directory)
    return directory


@pytest.mark.parametrize("step", [7, 512])
def test_answers_are_the_references(folder: Path, step: int) -> None:
    """Alone and in company, with images in chunks of a few tokens; the same image at several places; the same prompt with two images."""

    async def main() -> None:
        model, oracle = opened(folder, max_step_tokens=step), Oracle(folder)
        one, two = image(model, 1), image(model, 2, count=2 if model.info.vision is not None and model.info.vision.cross else 1)
        requests = [
            asked(model, [5, 6, one, 7, 8]),
            asked(model, [5, 6, two, 7, 8]),
            asked(model, [one, 9]),
            asked(model, [3, two, one, 7]),
            asked(model, [3, 4, 5, 6]),
        ]
        want = [oracle.greedy(request) for request in requests]
        async with running(model) as engine:
            assert [(await answers(engine, request))[0] for request in requests[:2]] == want[:2]
            assert await answers(engine, *requests) == want

    asyncio.run(main())


def test_compiled_kernels_say_nearly_the_same(folder: Path) -> None:
    """In bf16, with 8 bits in none of the matrices: the first token's logprobs."""

    async def main() -> None:
        exact = opened(folder)
        quick = load_model(folder, LoadOptions(kv_memory=1 << 24, limits=LIMITS, context=128))
        shown = image(exact, 1)
        request = asked(exact, [5, 6, shown, 7, 8], most=1)
        request = replace(request, sampling=replace(request.sampling, logprobs=20))
        async with running(exact) as one, running(quick) as other:
            want, got = [dict((await collect(engine, request)).logprobs[0].top) for engine in (one, other)]
        shared = want.keys() & got.keys()
        assert len(shared) >= 15
        assert max(abs(want[token] - got[token]) for token in shared) < 0.15

    asyncio.run(main())


def test_an_image_is_read_once(folder: Path) -> None:
    async def main() -> None:
        model = opened(folder)
        shown = image(model, 1)
        async with running(model) as engine:
            first = await collect(engine, asked(model, [5, shown, 7]))
            again = await collect(engine, asked(model, [6, shown, 7]))  # at another place: nothing of the prompt is remembered
            assert ((stats := engine.stats()).images_read, stats.images_found) == (1, 1)
            third = await collect(engine, asked(model, [5, shown, 7]))
        assert first.tokens == third.tokens
        assert first.usage is not None and again.usage is not None
        assert first.usage.prompt == len(asked(model, [5, shown, 7]).tokens)

    asyncio.run(main())


def test_what_is_remembered_depends_on_the_images(tmp_path: Path) -> None:
    """Where layers look at images, all tokens of a prompt depend on all of them, those before them, too; and rows are remembered in pages,
    from which a long conversation's come once the encoder has forgotten them."""

    async def main() -> None:
        make(vision_language_family("MllamaForConditionalGeneration").TINY).save_pretrained(tmp_path)
        model, text = opened(tmp_path), list(range(3, 3 + 2 * PAGE))
        one, two = image(model, 1, count=3), image(model, 2)
        requests = [asked(model, [*text, *shown, 7]) for shown in ([one], [two], [one, two], [])]
        want = [Oracle(tmp_path).greedy(request) for request in requests]
        async with running(model) as engine:
            for again in (0, 1):
                deltas = [await collect(engine, request) for request in requests]
                assert [list(delta.tokens) for delta in deltas] == want
                assert [delta.usage.cached for delta in deltas if delta.usage is not None] == [2 * PAGE * again] * 4
            assert engine.stats().images_read == 2

    asyncio.run(main())


def test_images_that_do_not_fit(tmp_path: Path) -> None:
    async def main() -> None:
        make(vision_language_family("MllamaForConditionalGeneration").TINY).save_pretrained(tmp_path)
        model = opened(tmp_path)
        vision = model.info.vision
        assert vision is not None and vision.cross is not None
        good = asked(model, [5, image(model, 1), 7])
        placed, most = good.images[0], vision.cross.most // vision.cross.rows
        many = tuple(replace(placed, at=i) for i in range(most + 1))
        lying = replace(placed, image=ImageTiles(placed.image.values, (2, 2)))
        async with running(model) as engine:
            for request, message in (
                (replace(good, images=many, tokens=(vision.marker,) * len(many)), f"{vision.cross.most} fit"),
                (replace(good, images=(lying,)), r"1 tiles in a grid of \(2, 2\)"),
                (replace(good, sampling=replace(good.sampling, prompt_logprobs=1)), "prompt_logprobs: the token of an image"),
                (replace(good, sampling=replace(good.sampling, logit_bias=((vision.marker, 1.0),))), "is not in the vocabulary"),
            ):
                with pytest.raises(EngineError, match=message):
                    await collect(engine, request)
            penalized = replace(good.sampling, repetition_penalty=1.3, no_repeat=1)
            assert (await collect(engine, replace(good, sampling=penalized))).tokens

    asyncio.run(main())


def test_nobody_finds_anothers_images(folder: Path) -> None:
    async def main() -> None:
        model = opened(folder)
        shown = image(model, 1)
        async with running(model) as engine:
            await collect(engine, asked(model, [5, shown, 7], owner="a"))
            await collect(engine, asked(model, [5, shown, 7], owner="b"))
            assert ((stats := engine.stats()).images_read, stats.images_found) == (2, 0)

    asyncio.run(main())


def test_who_gives_up_leaves_nothing_behind(folder: Path) -> None:
    """While the image is read, and while the prompt is computed."""

    async def main() -> None:
        model = opened(folder, max_step_tokens=5)
        requests = [asked(model, [5, image(model, seed), 7]) for seed in range(6)]
        async with running(model) as engine:
            for turns, request in enumerate(requests):
                deltas = engine.generate(request)
                task = asyncio.ensure_future(anext(aiter(deltas)))
                for _ in range(3**turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await deltas.aclose()
            assert (await answers(engine, requests[0]))[0]
            assert (stats := engine.stats()).pages_used == stats.waiting == stats.running == 0

    asyncio.run(main())


def test_what_cannot_be(folder: Path) -> None:
    async def main() -> None:
        model = opened(folder)
        shown = image(model, 1)
        good = asked(model, [5, shown, 7])
        placed = good.images[0]
        bare = replace(good, images=(), tokens=good.tokens[:2])
        cases = [
            (bare, "the prompt has 1 of them, its images 0"),
            (replace(good, images=(replace(placed, rows=placed.rows - 1),)), "rows are made of it"),
            (replace(good, images=(replace(placed, at=len(good.tokens)),)), "overlaps another one, or the prompt's end"),
            (replace(good, images=(placed, placed)), "overlaps another one"),
            (replace(good, images=(replace(placed, image=ImageTiles(np.zeros((1, 3, 6, 7), np.float32))),)), "a tile is"),
        ]
        async with running(model) as engine:
            for request, message in cases:
                with pytest.raises(EngineError, match=message):
                    await collect(engine, request)
        async with running(loaded(PLAIN)) as engine:
            with pytest.raises(Unsupported, match="reads texts alone"):
                await collect(engine, good)

    asyncio.run(main())
