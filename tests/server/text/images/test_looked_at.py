"""A tiny random Llama 3.2 Vision behind a real server: its layers look at the images of a chat."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tokenizers import Tokenizer

from models.families.vision_language.mllama import TINY
from tests.models.vision_language_world import make
from tests.server.conftest import Running, running
from tests.server.text.images.test_prompts import CASES, VOCAB, folder_of
from tests.server.text.images.world import image_part, noise, text_part

MARK = "<|image|>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home, folder = tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("tiny-mllama")
    side = TINY["vision_config"]["image_size"]
    folder_of(folder, "mllama", replace(CASES["mllama"], said={"size": {"height": side, "width": side}}))
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.add_special_tokens([MARK])  # behind all tokens that the head has
    made.save(str(folder / "tokenizer.json"))
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("<image>", MARK))
    config = TINY | {"text_config": TINY["text_config"] | {"vocab_size": len(VOCAB)}, "image_token_index": len(VOCAB)}
    make(config).save_pretrained(folder)
    with running(home / "log", "--model", str(folder), "--threads", "1") as server:
        yield server


def said(server: Running, *content: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Usage, and the tokens of the answer with their logprobs."""
    name = httpx.get(f"{server.url}/v1/models").json()["data"][0]["id"]
    body = {"model": name, "messages": [{"role": "user", "content": list(content)}], "temperature": 0, "max_tokens": 4}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body | {"logprobs": True, "top_logprobs": 2}, timeout=60)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return told["usage"], told["choices"][0]["logprobs"]["content"]


def test_answers_depend_on_the_images(server: Running) -> None:
    one, two, question = image_part(noise(1, 30, 12)), image_part(noise(2, 9, 40)), text_part("What is this?")
    usage, first = said(server, one, question)
    assert usage["prompt_tokens_details"]["image_tokens"] == 1
    assert said(server, one, question)[1] == first
    assert len({str(said(server, *content)[1]) for content in ([one, question], [two, question], [one, two, question], [question])}) == 4


def test_the_model_says_that_it_reads_images(server: Running) -> None:
    (model,) = [model for model in httpx.get(f"{server.url}/v1/models").json()["data"] if "image" in model.get("input_modalities", ())]
    assert model["input_modalities"] == ["text", "image"]
