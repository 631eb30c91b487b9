"""How closely a prompt is followed: what is asked of models that compute twice for it, that are told it, and that have learned one."""

import re
from typing import Any

import httpx
import pytest

from engine.api import Guidance
from tests.server.api.images.test_images import EDIT, GENERATE, error_of, file_of, world
from tests.server.fake_images import FakeImageEngine
from tests.server.fakes import ask


def post(guidance: Guidance, **fields: Any) -> tuple[httpx.Response, FakeImageEngine]:
    app, engine = world(FakeImageEngine(guidance=guidance))
    return ask(app, "POST", GENERATE, json={"prompt": "a dog", **fields}), engine


@pytest.mark.parametrize(
    ("guidance", "fields", "asked"),
    [
        ("computed", {}, (3.0, None)),
        ("computed", {"guidance_scale": 2.0, "negative_prompt": ""}, (2.0, None)),
        ("computed", {"guidance_scale": 0.0}, (1.0, None)),
        ("told", {}, (1.0, 3.0)),
        ("told", {"guidance_scale": 2.0}, (1.0, 2.0)),
        ("told", {"negative_prompt": "", "true_cfg_scale": 4.0}, (4.0, 3.0)),
        ("fixed", {}, (1.0, None)),
        ("fixed", {"negative_prompt": "", "true_cfg_scale": 4.0}, (4.0, None)),
    ],
)
def test_what_is_asked_of_the_engine(guidance: Guidance, fields: dict[str, Any], asked: tuple[float, float | None]) -> None:
    answer, engine = post(guidance, **fields)
    assert answer.status_code == 200
    assert (engine.requests[0].guidance, engine.requests[0].told_guidance) == asked


@pytest.mark.parametrize(
    ("guidance", "fields", "param", "words"),
    [
        ("computed", {"true_cfg_scale": 2.0}, "true_cfg_scale", "has guidance_scale for it"),
        ("told", {"true_cfg_scale": 2.0}, "true_cfg_scale", "negative_prompt, which is missing"),
        ("told", {"negative_prompt": ""}, "negative_prompt", "true_cfg_scale .*, which is missing"),
        ("fixed", {"guidance_scale": 2.0}, "guidance_scale", "has learned one"),
        ("told", {"negative_prompt": "cat", "true_cfg_scale": 0.5}, "true_cfg_scale", "greater than or equal to 1"),
    ],
)
def test_what_is_refused(guidance: Guidance, fields: dict[str, Any], param: str, words: str) -> None:
    answer, engine = post(guidance, **fields)
    error = error_of(answer)
    assert error["param"] == param and re.search(words, error["message"]) and not engine.requests


def test_a_model_that_fills_in_needs_an_image() -> None:
    app, engine = world(FakeImageEngine(fills=True))
    error = error_of(ask(app, "POST", GENERATE, json={"prompt": "a dog"}))
    assert error["param"] == "model" and "use /v1/images/edits" in error["message"] and not engine.requests
    files = {"image": ("in.png", file_of((12, 8)))}
    assert ask(app, "POST", EDIT, data={"prompt": "a dog"}, files=files).status_code == 200
