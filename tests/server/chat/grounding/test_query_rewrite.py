"""Follow-up questions, made fit to be searched for."""

import asyncio

import pytest

from engine.api import QueueFull
from server.chat.grounding.query_rewrite import MAX_QUERY, ConversationTurn, search_queries
from tests.server.fakes import FakeEngine, runtime, says, text

TEXT = text()
TALK = [
    ConversationTurn("user", "Who discovered radium?"),
    ConversationTurn("assistant", "Marie Curie discovered radium in Paris."),
    ConversationTurn("user", "When was she born?"),
]
TOGETHER = ("When was she born?", "Who discovered radium?\nWhen was she born?")


def rewritten(
    words: str = "", talk: list[ConversationTurn] = TALK, engine: FakeEngine | None = None, world: str = "chatml"
) -> tuple[str, ...]:
    model = text(world)
    return asyncio.run(search_queries(runtime(engine or FakeEngine(says(words, TEXT)), model), talk))


def test_the_first_question_is_searched_as_it_is() -> None:
    engine = FakeEngine(says("What?", TEXT))
    assert rewritten(talk=[ConversationTurn("user", " What is radium?\0 ")], engine=engine) == ("What is radium?",)
    assert engine.requests == []


def test_a_follow_up_is_searched_both_ways() -> None:
    engine = FakeEngine(says("When was Marie Curie born?", TEXT))
    assert rewritten(engine=engine) == ("When was she born?", "When was Marie Curie born?")
    (request,) = engine.requests
    read = TEXT.decode(request.tokens)
    assert request.sampling.temperature == 0 and request.sampling.max_tokens <= 64
    assert "Marie Curie discovered radium in Paris." in read and read.rstrip().endswith("assistant")


@pytest.mark.parametrize(
    "words",
    [
        "When was Pierre Curie born in Warsaw?",  # words of its own
        "When was she born?",  # nothing new
        "Radium in Paris",  # another question
        "When was\nMarie Curie born?",
        "",
    ],
)
def test_what_cannot_be_trusted_is_not_used(words: str) -> None:
    assert rewritten(words) == TOGETHER


def test_a_model_that_cannot_be_asked() -> None:
    assert rewritten(engine=FakeEngine(says("x", TEXT), refusal=QueueFull("full"))) == TOGETHER
    assert rewritten(engine=FakeEngine(says("x", TEXT), context=8)) == TOGETHER


def test_a_model_that_thinks_is_told_not_to() -> None:
    model = text("qwen")
    engine = FakeEngine(says("When was Marie Curie born?", model))
    assert rewritten(engine=engine, world="qwen")[0] == "When was she born?"
    assert model.decode(engine.requests[0].tokens).count("</think>") == 1


def test_endless_questions_are_cut() -> None:
    (query,) = rewritten(talk=[ConversationTurn("user", "x" * 9000 + " Why?")])
    assert len(query) == MAX_QUERY and query.endswith("Why?")
