"""/v1/images/generations, /edits and /variations: what is asked of the engine, what comes back, what is refused."""

import asyncio
import base64
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette

from engine.api import Label, QueueFull
from server.http.warnings import WARNINGS_HEADER
from tests.server.fake_images import STEPS, FakeImageEngine, images
from tests.server.fakes import FakeEngine, ask, client, ready, says, text
from tests.server.web import serving

TEXT = text()
GENERATE, EDIT, VARY = "/v1/images/generations", "/v1/images/edits", "/v1/images/variations"


def world(engine: FakeImageEngine | None = None, **settings: Any) -> tuple[Starlette, FakeImageEngine]:
    engine = engine or FakeImageEngine()
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, parts={"images": images(engine)}, **settings)
    return app, engine


def post(**fields: Any) -> tuple[httpx.Response, FakeImageEngine]:
    app, engine = world()
    return ask(app, "POST", GENERATE, json={"prompt": "a dog", **fields}), engine


def file_of(size: tuple[int, int], alpha: Any = 255, shade: int = 200, form: str = "PNG") -> bytes:
    rgba = np.full((size[1], size[0], 4), shade, np.uint8)
    rgba[..., 3] = alpha
    file = io.BytesIO()
    Image.fromarray(rgba if form == "PNG" else rgba[..., :3]).save(file, form)
    return file.getvalue()


def send(path: str = EDIT, mask: bytes | None = None, image: bytes | None = None, **fields: Any) -> tuple[httpx.Response, FakeImageEngine]:
    app, engine = world()
    files = {"image": ("in.png", image or file_of((12, 8))), **({"mask": ("mask.png", mask)} if mask is not None else {})}
    given = {"prompt": "a dog", **fields} if path == EDIT else fields
    return ask(app, "POST", path, data={name: value for name, value in given.items() if value is not None}, files=files), engine


def opened(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)))


def pixels(image: Image.Image) -> Any:
    return np.asarray(image.convert("RGB"))


def events(answer: httpx.Response) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n") if line.startswith("data: ")]


def error_of(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def test_a_picture_as_the_model_makes_them() -> None:
    answer, engine = post(seed=5)
    body, request = answer.json(), engine.requests[0]
    assert (request.prompt, request.steps, request.seed, request.guidance, request.start) == (Label(1), STEPS, 5, 3.0, None)
    image = opened(body["data"][0]["b64_json"])
    assert image.format == "PNG" and image.size == (6, 4) and (pixels(image) == 5 + STEPS).all()
    assert request.size == (6, 4)
    assert (body["size"], body["output_format"], body["background"], body["quality"]) == ("6x4", "png", "opaque", "medium")
    details = {"text_tokens": 1, "image_tokens": 0}
    assert body["usage"] == {"input_tokens": 1, "input_tokens_details": details, "output_tokens": 24, "total_tokens": 25}


def test_several_have_seeds_of_their_own_and_each_can_be_made_again() -> None:
    answer, engine = post(n=3, seed=7)
    assert [item["seed"] for item in answer.json()["data"]] == [7, 8, 9] == [request.seed for request in engine.requests]
    assert answer.json()["data"][2]["b64_json"] == post(seed=9)[0].json()["data"][0]["b64_json"]
    assert answer.json()["usage"]["output_tokens"] == 72


def test_without_a_seed_each_request_has_another() -> None:
    assert len({post()[0].json()["data"][0]["seed"] for _ in range(3)}) == 3


@pytest.mark.parametrize(("form", "name"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_formats(form: str, name: str) -> None:
    found = post(output_format=form, response_format="url")[0].json()
    head, _, encoded = found["data"][0]["url"].partition(",")
    assert head == f"data:image/{form};base64" and opened(encoded).format == name and found["output_format"] == form


def test_compression_costs_quality() -> None:
    best, worst = (post(output_format="jpeg", output_compression=quality, seed=1)[0].json() for quality in (100, 0))
    assert best["data"][0]["b64_json"] != worst["data"][0]["b64_json"]


@pytest.mark.parametrize(("given", "steps"), [({"quality": "low"}, 5), ({"quality": "hd"}, 20), ({"quality": "high", "steps": 3}, 3)])
def test_quality_is_a_number_of_steps(given: dict[str, Any], steps: int) -> None:
    assert post(**given)[1].requests[0].steps == steps


def test_a_prompt_that_says_nothing_is_not_guided() -> None:
    _, engine = post(prompt=" ", guidance_scale=5)
    assert (engine.requests[0].prompt, engine.requests[0].guidance) == (None, 1.0)


def test_events_show_the_picture_on_its_way() -> None:
    answer, engine = post(stream=True, partial_images=3, seed=1)
    assert engine.requests[0].previews == {2, 5, 7}
    *partial, done = events(answer)
    assert [event["partial_image_index"] for event in partial] == [0, 1, 2]
    assert [pixels(opened(event["b64_json"]))[0, 0, 0] for event in (*partial, done)] == [3, 6, 8, 11]
    assert {event["type"] for event in partial} == {"image_generation.partial_image"}
    assert (done["type"], done["size"], done["seed"], done["usage"]["total_tokens"]) == ("image_generation.completed", "6x4", 1, 25)
    assert [line for line in answer.text.split("\n") if line.startswith("event: ")][-1] == "event: image_generation.completed"


def test_events_without_partial_images() -> None:
    assert [event["type"] for event in events(post(stream=True)[0])] == ["image_generation.completed"]


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"prompt": None}, "prompt", "should be a valid string"),
        ({"prompt": "a horse"}, "prompt", "cat, dog, electric eel, eel; the prompt names none of them"),
        ({"prompt": "a cat and a dog"}, "prompt", "cat and dog at once"),
        ({"negative_prompt": "a cat"}, "negative_prompt", "one label"),
        ({"size": "1024x1024"}, "size", "6x4"),
        ({"size": "big"}, "size", "pattern"),
        ({"n": 11}, "n", "less than or equal to 10"),
        ({"steps": 101}, "steps", "at most 100"),
        ({"steps": 0}, "steps", "greater than or equal to 1"),
        ({"guidance_scale": -1}, "guidance_scale", "greater than or equal to 0"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
        ({"background": "transparent"}, "background", "'opaque' and 'auto'"),
        ({"output_format": "gif"}, "output_format", "'png'"),
        ({"output_compression": 50}, "output_compression", "jpeg and webp"),
        ({"output_compression": 101, "output_format": "jpeg"}, "output_compression", "100"),
        ({"partial_images": 1}, "partial_images", "stream"),
        ({"partial_images": 4, "stream": True}, "partial_images", "3"),
        ({"n": 2, "stream": True}, "n", "stream"),
        ({"response_format": "url", "stream": True}, "response_format", "b64_json"),
        ({"strength": 0.5}, "strength", "not permitted"),
    ],
)
def test_what_is_refused_is_named(fields: dict[str, Any], param: str, told: str) -> None:
    answer, engine = post(**fields)
    error = error_of(answer)
    assert error["param"] == param and told in error["message"] and not engine.requests


def test_hints_are_named() -> None:
    answer, _ = post(style="vivid", moderation="low", user="me")
    assert answer.headers[WARNINGS_HEADER] == "moderation, style"
    assert [warning["param"] for warning in answer.json()["warnings"]] == ["moderation", "style"]


def test_models() -> None:
    assert error_of(post(model="dall-e-3")[0], 404)["code"] == "model_not_found"
    assert post(model="brush")[0].status_code == 200
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT)
    assert "--image-model" in error_of(ask(app, "POST", GENERATE, json={"prompt": "a dog"}))["message"]
    listed = ask(world()[0], "GET", "/v1/models/brush").json()
    assert (listed["input_modalities"], listed["output_modalities"]) == (["text", "image"], ["image"])


def test_an_engine_with_too_much_to_do() -> None:
    app, _ = world(FakeImageEngine(refusal=QueueFull("2 pictures are being made")))
    assert error_of(ask(app, "POST", GENERATE, json={"prompt": "a dog", "n": 3}), 503)["code"] == "queue_full"


def test_an_image_is_changed() -> None:
    answer, engine = send(seed="3", n="2")
    request, body = engine.requests[0], answer.json()
    assert request.start is not None and request.start.mask is None and request.start.strength == 0.8
    assert request.start.pixels.shape == (4, 6, 3) and (request.start.pixels == 200).all()
    assert [item["seed"] for item in body["data"]] == [3, 4] and body["usage"]["input_tokens_details"]["image_tokens"] == 24


def test_an_image_of_other_proportions_is_cut() -> None:
    wide = Image.new("RGB", (40, 8))
    wide.paste((255, 255, 255), (14, 0, 26, 8))  # the middle, which has the model's proportions
    file = io.BytesIO()
    wide.save(file, "PNG")
    start = send(image=file.getvalue())[1].requests[0].start
    assert start is not None and (start.pixels > 200).all()


@pytest.mark.parametrize("own", [False, True])
def test_what_is_transparent_is_made_anew(own: bool) -> None:
    """In the mask, or in an image without one."""
    alpha = np.full((8, 12), 255)
    alpha[:, :6] = 0
    seen = file_of((12, 8), alpha)
    answer, engine = send(image=seen) if own else send(mask=seen)
    start, image = engine.requests[0].start, pixels(opened(answer.json()["data"][0]["b64_json"]))
    assert start is not None and start.strength == 1.0 and start.mask is not None
    assert start.mask[:, :3].all() and not start.mask[:, 3:].any()
    assert (image[:, 3:] == 200).all() and (image[:, :3] != 200).any()


def test_events_of_a_changed_image() -> None:
    answer, engine = send(stream="true", partial_images="1", strength="0.5", seed="1")
    assert engine.requests[0].previews == {2}  # of the five steps that it is changed in
    assert [event["type"] for event in events(answer)] == ["image_edit.partial_image", "image_edit.completed"]


def test_variations_have_no_prompt() -> None:
    answer, engine = send(VARY, image=file_of((6, 4), form="JPEG"), n="2")
    request = engine.requests[0]
    assert request.prompt is None and request.guidance == 1.0 and request.start is not None and len(answer.json()["data"]) == 2
    assert answer.json()["usage"]["input_tokens_details"]["text_tokens"] == 0


@pytest.mark.parametrize(
    ("given", "param", "told"),
    [
        ({"image": b"no image"}, "image", "damaged"),
        ({"mask": b"no image"}, "mask", "damaged"),
        ({"mask": file_of((5, 5), 0)}, "mask", "5 x 5"),
        ({"mask": file_of((12, 8))}, "mask", "no transparent place"),
        ({"strength": "0.05"}, "strength", "less than one"),
        ({"strength": "1.5"}, "strength", "less than or equal to 1"),
        ({"prompt": None}, "prompt", "required"),
        ({"size": "512x512"}, "size", "6x4"),
        ({"nonsense": "1"}, "nonsense", "not permitted"),
    ],
)
def test_what_cannot_be_changed_is_named(given: dict[str, Any], param: str, told: str) -> None:
    answer, engine = send(**given)
    assert error_of(answer)["param"] == param and told in answer.json()["error"]["message"] and not engine.requests


def test_forms_that_are_not_right() -> None:
    app, _ = world()
    one, two = ("a.png", file_of((6, 4))), ("b.png", file_of((6, 4)))
    many = ask(app, "POST", EDIT, data={"prompt": "a dog"}, files=[("image[]", one), ("image[]", two)])
    assert error_of(many)["param"] == "image" and "one file" in many.json()["error"]["message"]
    assert ask(app, "POST", EDIT, data={"prompt": "a dog"}, files=[("image[]", one)]).status_code == 200
    twice = ask(app, "POST", EDIT, data={"prompt": "a dog"}, files=[("image", one), ("mask", one), ("mask", two)])
    assert error_of(twice)["param"] == "mask"
    missing = ask(app, "POST", EDIT, data={"prompt": "a dog"}, files={"mask": one})
    assert error_of(missing)["param"] == "image"
    assert error_of(ask(app, "POST", VARY, files=[("image", one), ("mask", two)]))["param"] == "mask"
    assert ask(app, "POST", EDIT, content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    assert ask(app, "POST", VARY, json={"prompt": "a dog"}).status_code == 415


@pytest.mark.parametrize("stream", [False, True])
def test_who_goes_away_is_not_painted_for(stream: bool) -> None:
    """Over a real socket."""
    app, engine = world(FakeImageEngine(pause=0.02))

    async def leave(url: str) -> None:
        async with httpx.AsyncClient(base_url=url) as http:
            asked = asyncio.create_task(http.post(GENERATE, json={"prompt": "a dog", "steps": 100, "stream": stream, "n": 1}))
            while not engine.running:
                await asyncio.sleep(0.01)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        for _ in range(500):
            if engine.aborts:
                return
            await asyncio.sleep(0.01)

    with serving(app) as url:
        asyncio.run(leave(url))
    assert engine.aborts == 1 and engine.running == 0


def test_measurements() -> None:
    app, _ = world()

    async def ask_both() -> str:
        async with client(app) as http:
            await http.post(GENERATE, json={"prompt": "a dog"})
            return (await http.get("/metrics")).text

    page = asyncio.run(ask_both())
    assert "stoa_images_running 0.0" in page and 'stoa_requests_total{route="/v1/images/generations",status="200"} 1.0' in page
