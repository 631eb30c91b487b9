"""A tiny LLaVA that was trained on pictures of coloured shapes (tests/tiny_models/picture_questions.py), behind a real server: it answers
questions about pictures that it has never seen, through the official clients of three APIs."""

import base64
import io
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from anthropic import Anthropic
from openai import OpenAI
from PIL import Image

from tests.server.conftest import Running, running
from tests.tiny_models.picture_questions import Question, draw, questions, scene

PICTURES = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("server")
    with running(home / "log", "--model", "picture-questions", "--threads", "1") as server:
        yield server


@dataclass(frozen=True)
class Asked:
    picture: Image.Image
    question: Question

    @property
    def url(self) -> str:
        return f"data:image/png;base64,{self.data}"

    @property
    def data(self) -> str:
        file = io.BytesIO()
        self.picture.save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()

    @property
    def text(self) -> str:
        return self.question.text.capitalize()


def asked(seed: int) -> list[Asked]:
    """About pictures that training has not seen, of one thing and of two."""
    rnd, found = random.Random(seed), list[Asked]()
    for number in range(PICTURES):
        things = scene(rnd, 1 + number % 2)
        picture = draw(things, rnd, 1 + number % 3)
        found += [Asked(picture, question) for question in questions(things, rnd)]
    return found


def by_chat(server: Running, one: Asked) -> str:
    client = OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": one.url}}, {"type": "text", "text": one.text}]
    answer = client.chat.completions.create(model="picture-questions", messages=[{"role": "user", "content": parts}], temperature=0)
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.model_dump()["image_tokens"] == 16
    return answer.choices[0].message.content or ""


def by_responses(server: Running, one: Asked) -> str:
    client = OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    parts: list[Any] = [{"type": "input_image", "image_url": one.url, "detail": "auto"}, {"type": "input_text", "text": one.text}]
    input: list[Any] = [{"role": "user", "content": parts}]
    return client.responses.create(model="picture-questions", input=input, temperature=0, store=False).output_text


def by_messages(server: Running, one: Asked) -> str:
    client = Anthropic(base_url=server.url, api_key="none", max_retries=0)
    source = {"type": "base64", "media_type": "image/png", "data": one.data}
    parts: list[Any] = [{"type": "image", "source": source}, {"type": "text", "text": one.text}]
    answer = client.messages.create(
        model="picture-questions", messages=[{"role": "user", "content": parts}], max_tokens=10, extra_body={"temperature": 0}
    )
    return "".join(block.text for block in answer.content if block.type == "text")


CLIENTS: dict[str, Callable[[Running, Asked], str]] = {
    "chat completions": by_chat,
    "Responses": by_responses,
    "Messages": by_messages,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_questions_are_answered_rightly(client: str, server: Running) -> None:
    wanted = asked(20_261_130)
    right = sum(CLIENTS[client](server, one) == one.question.answer for one in wanted)
    assert right >= 0.95 * len(wanted)


def test_the_same_question_about_other_pictures_at_the_same_time(server: Running) -> None:
    """Each is answered by its own picture, whatever is computed beside it, and again in the other order."""
    rnd = random.Random(3)
    two = [Asked(draw(things := scene(rnd, 1), rnd), questions(things, rnd)[1]) for _ in range(2)]
    two = [Asked(one.picture, Question("what color is the object?", one.question.answer, "color")) for one in two]
    assert two[0].question.answer != two[1].question.answer
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: by_chat(server, one), [*two, *reversed(two)] * 3))
    assert answers == [one.question.answer for one in [*two, *reversed(two)] * 3]


def test_a_picture_is_read_once(server: Running) -> None:
    things = scene(rnd := random.Random(1234), 1)
    read, found = (server.metric(f"prompt_images_{name}_total") for name in ("read", "found"))
    picture = draw(things, rnd)
    for question in questions(things, rnd):
        assert by_chat(server, Asked(picture, question)) == question.answer
    assert server.metric("prompt_images_read_total") == read + 1
    assert server.metric("prompt_images_found_total") >= found + 1


def test_a_conversation_about_a_picture(server: Running) -> None:
    rnd = random.Random(5)
    things = scene(rnd, 2)
    left = Asked(draw(things, rnd), questions(things, rnd)[1])
    client = OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "How many are there?"}]}]
    messages[0]["content"].insert(0, {"type": "image_url", "image_url": {"url": left.url}})
    told = list[str | None]()
    for question in ("What color is the left one?", "What shape is the right one?", ""):
        answer = client.chat.completions.create(model="picture-questions", messages=messages, temperature=0)
        told.append(answer.choices[0].message.content)
        messages += [answer.choices[0].message.model_dump(exclude_none=True), {"role": "user", "content": question}]
    assert told == ["two", things[0].color, things[1].shape]
