"""The engine of pictures: whole tiny pipelines equal diffusers', and no request changes another's picture."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.dit.pipeline_dit import DiTPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from numpy.typing import NDArray
from torch import Tensor

from engine.api import EngineError, EngineStopped, ImageProgress, ImageRequest, Label, PromptTokens, QueueFull, StartPicture
from engine.embedded.images.conditions import Denoiser, Told
from engine.embedded.images.engine import EmbeddedImageEngine
from engine.embedded.images.load import ImageLimits, ImageOptions, LoadedImageModel, load_image_model
from models.families.diffusion import dit, kl_autoencoder, tiny_autoencoder
from tests.models.diffusion.world import make, save

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # diffusers' own

LABELS = 1000  # diffusers' pipeline takes this number to mean no label
SCHEDULERS = {
    "ddim": DDIMScheduler(clip_sample=False, beta_schedule="scaled_linear"),
    "dpm": DPMSolverMultistepScheduler(use_karras_sigmas=True),
    "flow": FlowMatchEulerDiscreteScheduler(shift=3.0),
}


VAES = {"ddim": kl_autoencoder.TINY | {"shift_factor": None}, "dpm": tiny_autoencoder.TINY, "flow": tiny_autoencoder.TINY}


@pytest.fixture(scope="module", params=SCHEDULERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = {
        "transformer": make(dit.TINY | {"num_embeds_ada_norm": LABELS}),
        "vae": make(VAES[request.param]),
        "scheduler": SCHEDULERS[request.param],
    }
    return save(tmp_path_factory.mktemp(request.param), parts, _class_name="DiTPipeline")


def loaded(folder: Path, limits: ImageLimits = ImageLimits()) -> LoadedImageModel:  # noqa: B008, frozen
    return load_image_model(folder, ImageOptions(threads=1, limits=limits))


@asynccontextmanager
async def running(model: LoadedImageModel) -> AsyncIterator[EmbeddedImageEngine]:
    engine = EmbeddedImageEngine(model)
    try:
        yield engine
    finally:
        await engine.close()


async def picture(engine: EmbeddedImageEngine, request: ImageRequest) -> NDArray[np.uint8]:
    pixels = None
    async for progress in engine.generate(request):
        pixels = progress.pixels
    assert pixels is not None
    return pixels


def pictures(model: LoadedImageModel, requests: Sequence[ImageRequest], together: bool = True) -> list[NDArray[np.uint8]]:
    async def run() -> list[NDArray[np.uint8]]:
        async with running(model) as engine:
            if together:
                return await asyncio.gather(*(picture(engine, request) for request in requests))
            return [await picture(engine, request) for request in requests]

    return asyncio.run(run())


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_pictures_are_those_of_diffusers(folder: Path, guidance: float) -> None:
    world: Any = DiTPipeline.from_pretrained(folder)
    world.set_progress_bar_config(disable=True)
    if isinstance(world.scheduler, FlowMatchEulerDiscreteScheduler):  # which that pipeline was not written for
        vars(world.scheduler)["scale_model_input"] = lambda sample, timestep: sample
    seeds, labels = [11, 12, 13], [7, 999, 0]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    theirs = world(class_labels=labels, guidance_scale=guidance, generator=generators, num_inference_steps=6).images
    requests = [ImageRequest(prompt=Label(label), steps=6, seed=seed, guidance=guidance) for label, seed in zip(labels, seeds, strict=True)]
    for ours, wanted in zip(pictures(loaded(folder), requests), theirs, strict=True):
        assert same(ours, np.asarray(wanted))


def same(ours: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> bool:
    """But for shades that lie within 1e-4 of the middle between two."""
    apart = np.abs(ours.astype(int) - wanted.astype(int))
    return ours.shape == wanted.shape and apart.max() <= 1 and (apart > 0).mean() < 0.01


@torch.no_grad()
def test_a_picture_that_is_changed(folder: Path) -> None:
    """As diffusers' pipelines from image to image do it: encoded, noised for the step it comes in at, and the rest of the steps."""
    start = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    request = ImageRequest(prompt=Label(5), steps=10, seed=3, start=StartPicture(pixels=start, strength=0.45))
    ours = pictures(loaded(folder), [request])[0]
    world: Any = DiTPipeline.from_pretrained(folder)
    scheduler, vae = world.scheduler, world.vae
    scheduler.set_timesteps(10)
    times = scheduler.timesteps[6:]
    getattr(scheduler, "set_begin_index", lambda at: None)(6)
    encoded = vae.encode(torch.tensor(start).permute(2, 0, 1)[None] / 255 * 2 - 1)
    x = (encoded.latents if "latents" in encoded else encoded.latent_dist.mode()) * vae.config.scaling_factor
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    x = scheduler.scale_noise(x, times[:1], noise) if hasattr(scheduler, "scale_noise") else scheduler.add_noise(x, noise, times[:1])
    for t in times:
        said = world.transformer(x, timestep=t[None], class_labels=torch.tensor([5])).sample[:, :4]
        x = scheduler.step(said, t, x).prev_sample
    shades = (vae.decode(x / vae.config.scaling_factor).sample / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0) * 255
    assert same(ours, shades.round().byte().numpy())


REQUESTS = [
    ImageRequest(prompt=Label(3), steps=7, seed=5),
    ImageRequest(prompt=Label(3), steps=4, seed=6, guidance=2.5),
    ImageRequest(prompt=None, steps=9, seed=7),
    ImageRequest(prompt=Label(8), steps=1, seed=8, guidance=0.0),
    ImageRequest(prompt=Label(3), steps=7, seed=5, guidance=2.5),
]


def test_the_same_alone_and_in_company(folder: Path) -> None:
    """Of requests at different steps, some guided, with less room than there are requests."""
    model = loaded(folder, ImageLimits(max_running=3))
    alone, company = pictures(model, REQUESTS, together=False), pictures(model, REQUESTS)
    assert [np.array_equal(a, b) for a, b in zip(alone, company, strict=True)] == [True] * len(REQUESTS)
    assert len({picture.tobytes() for picture in alone}) == len(REQUESTS)


class Counting:
    """A denoiser that says how many rows it was given in each step."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, self.rows = denoiser, list[int]()
        self.read = denoiser.read

    def __call__(self, x_NCHW: Tensor, times_N: Tensor, told: Told) -> Tensor:
        self.rows.append(len(x_NCHW))
        return self.denoiser(x_NCHW, times_N, told)


@pytest.fixture
def counted(tmp_path: Path) -> tuple[LoadedImageModel, Counting]:
    parts = {"transformer": make(dit.TINY), "vae": None, "scheduler": SCHEDULERS["ddim"]}
    model = loaded(save(tmp_path, parts, _class_name="DiTPipeline"), ImageLimits(max_running=2, max_waiting=1))
    denoiser = Counting(model.denoiser)
    return replace(model, denoiser=denoiser), denoiser


def test_only_what_is_guided_is_computed_twice(counted: tuple[LoadedImageModel, Counting]) -> None:
    model, denoiser = counted
    pictures(model, [ImageRequest(prompt=Label(1), steps=3, seed=1)])
    assert denoiser.rows == [1, 1, 1]
    pictures(model, [ImageRequest(prompt=Label(1), steps=2, seed=1, guidance=1.5)])
    assert denoiser.rows[3:] == [2, 2]


def test_progress_and_previews(counted: tuple[LoadedImageModel, Counting]) -> None:
    async def run() -> list[ImageProgress]:
        async with running(counted[0]) as engine:
            return [p async for p in engine.generate(ImageRequest(prompt=Label(1), steps=4, seed=1, previews=frozenset({2, 3})))]

    told = asyncio.run(run())
    assert [(p.step, p.steps, p.pixels is not None, p.finished) for p in told] == [
        (1, 4, False, False),
        (2, 4, True, False),
        (3, 4, True, False),
        (4, 4, True, True),
    ]
    shown = [p.pixels for p in told[1:] if p.pixels is not None]
    assert all(pixels.shape == (8, 8, 4) for pixels in shown)  # the pixels themselves: there is no autoencoder
    assert not np.array_equal(shown[0], shown[2])


def test_an_abort_between_steps_frees_the_place(counted: tuple[LoadedImageModel, Counting]) -> None:
    model, denoiser = counted

    async def run() -> NDArray[np.uint8]:
        async with running(model) as engine:
            async with aclosing(engine.generate(ImageRequest(prompt=Label(1), steps=900, seed=1))) as steps:
                async for _ in steps:
                    break
            requests = [ImageRequest(prompt=Label(2), steps=2, seed=seed) for seed in (1, 2, 3)]  # as many as there are places
            return (await asyncio.gather(*(picture(engine, request) for request in requests)))[0]

    made = asyncio.run(run())
    assert len(denoiser.rows) < 100
    assert np.array_equal(made, pictures(model, [ImageRequest(prompt=Label(2), steps=2, seed=1)])[0])


def test_more_than_there_are_places_for(counted: tuple[LoadedImageModel, Counting]) -> None:
    async def run() -> list[Any]:
        async with running(counted[0]) as engine:
            requests = [ImageRequest(prompt=Label(2), steps=50, seed=seed) for seed in range(5)]
            return await asyncio.gather(*(picture(engine, request) for request in requests), return_exceptions=True)

    made = asyncio.run(run())
    assert [type(item) for item in made[3:]] == [QueueFull, QueueFull]
    assert all(isinstance(item, np.ndarray) for item in made[:3])


def test_who_waits_hears_of_the_end(counted: tuple[LoadedImageModel, Counting]) -> None:
    async def run() -> None:
        async with running(counted[0]) as engine:
            waiting = asyncio.create_task(picture(engine, ImageRequest(prompt=Label(2), steps=999, seed=1)))
            await asyncio.sleep(0)
            await engine.close()
            with pytest.raises(EngineStopped):
                await waiting
            with pytest.raises(EngineStopped):
                await picture(engine, ImageRequest(prompt=Label(2), steps=1, seed=1))

    asyncio.run(run())


def test_what_cannot_be_is_named(counted: tuple[LoadedImageModel, Counting]) -> None:
    good = ImageRequest(prompt=Label(1), steps=4, seed=1)
    start = StartPicture(pixels=np.zeros((8, 8, 4), np.uint8), strength=0.5)
    bad = {
        "a label must be between 0 and 6, not 7": replace(good, prompt=Label(7)),
        "size: 16 x 16 is none that this model makes": replace(good, size=(16, 16)),
        "mask must be bool": replace(good, start=replace(start, mask=np.zeros((8, 8), np.uint8))),
        "steps must be between 1 and 1000, not 0": replace(good, steps=0),
        "this model is told labels": replace(good, prompt=PromptTokens(tokens=((1,),), negative=((1,),))),
        "seed must be": replace(good, seed=-1),
        "guidance must be a finite number": replace(good, guidance=float("nan")),
        "strength must be above 0": replace(good, start=replace(start, strength=0.0)),
        "start must be uint8": replace(good, start=replace(start, pixels=np.zeros((9, 8, 4), np.uint8))),
    }

    async def run() -> None:
        async with running(counted[0]) as engine:
            for words, request in bad.items():
                with pytest.raises(EngineError, match=words):
                    await picture(engine, request)

    asyncio.run(run())
