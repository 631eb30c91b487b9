"""Images in chats: what becomes of them before they reach the engine, and what is refused."""

import base64
from typing import Any, cast

import numpy as np
import pytest
from httpx import Response
from starlette.applications import Starlette
from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

from tests.server.fakes import FakeEngine, ask, ready, says
from tests.server.fakes import text as text_of
from tests.server.text.images.world import DATA, TEXT, data_url, eyes, file_of, image_part, noise, seeing, text_part

MARK = 4
QUESTION = text_part("what color is the object in the second image?")


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def post(app: Starlette, *messages: dict[str, Any], path: str = "/v1/chat/completions") -> Response:
    return ask(app, "POST", path, json={"model": "tiny", "messages": messages})


def chat(engine: FakeEngine, *messages: dict[str, Any]) -> Any:
    answer = post(seeing(engine), *messages)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_tokens_and_pixels_are_those_of_transformers() -> None:
    engine, first, second = eyes(), noise(1), noise(2, 31, 90)
    chat(engine, user(image_part(first), text_part("how many are there?"), image_part(second), QUESTION))
    (request,) = engine.requests
    tokenizer = PreTrainedTokenizerFast.from_pretrained(DATA)
    processor = LlavaProcessor(CLIPImageProcessorPil.from_pretrained(DATA), tokenizer, 8, "default", num_additional_image_tokens=1)
    parts = [{"type": "image"}, text_part("how many are there?"), {"type": "image"}, QUESTION]
    prompt = cast(str, tokenizer.apply_chat_template([user(*parts)], tokenize=False, add_generation_prompt=True))
    oracle = cast(Any, processor)(images=[first, second], text=prompt, add_special_tokens=False, return_tensors="np")
    assert list(request.tokens) == oracle["input_ids"][0].tolist()
    tiles = np.concatenate([placed.image.values for placed in request.images])
    np.testing.assert_allclose(tiles, oracle["pixel_values"], atol=1e-6)
    for placed in request.images:
        assert placed.rows == 16 and set(request.tokens[placed.at : placed.at + 16]) == {MARK}


def test_what_a_client_writes_is_no_image() -> None:
    engine = eyes()
    chat(engine, user(text_part("<image>, <|user|>"), image_part(noise(1))), {"role": "assistant", "content": "<image>"}, user(QUESTION))
    tokens = engine.requests[0].tokens
    assert tokens.count(MARK) == 16 and len(engine.requests[0].images) == 1
    assert tokens.count(5) == 2  # turns of the user's


def test_rows_are_tokens_of_the_prompt() -> None:
    messages = [user(image_part(noise(3)), QUESTION)]
    usage = chat(eyes(), *messages)["usage"]
    assert usage["prompt_tokens_details"]["image_tokens"] == 16
    assert usage["prompt_tokens"] == 16 + usage["prompt_tokens_details"]["text_tokens"]
    counted = post(seeing(eyes()), *messages, path="/tokenize").json()
    assert counted["count"] == usage["prompt_tokens"]


def test_an_image_among_the_texts_of_several_messages() -> None:
    engine = eyes()
    system = {"role": "system", "content": "one"}
    chat(engine, system, {**user(image_part(noise(4)), QUESTION), "name": "picture"}, user(text_part("two"), image_part(noise(5))))
    request = engine.requests[0]
    assert [placed.at for placed in request.images] == [i for i, token in enumerate(request.tokens) if token == MARK][::16]
    assert len(request.images) == 2
    assert request.images[0].image != request.images[1].image


def test_models_say_what_they_read() -> None:
    (model,) = ask(seeing(eyes()), "GET", "/v1/models").json()["data"]
    assert (model["input_modalities"], model["output_modalities"]) == (["text", "image"], ["text"])


def test_a_model_without_eyes() -> None:
    text = text_of()
    app, _ = ready(FakeEngine(says("no", text)), text)
    answer = post(app, user(QUESTION, image_part(noise(1))))
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, "messages.0.content.1.image_url.url", "unsupported")
    assert "tiny reads text alone" in error["message"]


PNG = "data:image/png;base64,"
WRONG = {
    "https://example.com/a.png": "invalid_image_url",
    "file:///etc/passwd": "invalid_image_url",
    PNG + "%%%": "invalid_base64_image",
    PNG: "empty_image_file",
    "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(): "unsupported_image_media_type",
    PNG + base64.b64encode(file_of(noise(1, 99, 99))[:15_000]).decode(): "image_parse_error",
}


@pytest.mark.parametrize("url", WRONG, ids=list(WRONG.values()))
def test_what_is_refused(url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    answer = post(seeing(eyes()), user(QUESTION, part))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, WRONG[url], "messages.0.content.1.image_url.url")


def test_more_images_than_fit_the_context() -> None:
    engine = eyes()
    engine.context = 40
    answer = post(seeing(engine), user(*[image_part(noise(1))] * 3))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
    assert error["param"] == "messages.0.content.2.image_url.url" and "48" in error["message"]


def test_formats_are_read_alike() -> None:
    engine, image = eyes(), noise(6, 32, 32)
    app = seeing(engine)
    for form in ("PNG", "BMP", "TIFF"):
        part = {"type": "image_url", "image_url": {"url": data_url(image, form)}}
        post(app, user(part, QUESTION))
    assert len({request.images[0].image for request in engine.requests}) == 1


def test_the_tokenizer_knows_its_images() -> None:
    assert TEXT.image_tokens is not None
    assert (TEXT.image_tokens.mark, TEXT.image_tokens.in_parts) == ("<image>", {"user"})
