"""Thoughts and answers of every family are told apart, however their text arrives, by marks that are tokens where there are such tokens."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import Delta, Request, Sampling, TokenLogprob
from server.chat.output_parser import OutputParser
from server.core.events import OutputDelta
from server.core.messages import Assistant, User
from server.core.request import OutputOptions
from server.text.conversation.render import render
from server.text.reasoning.api import Place, ReasoningSplit, Spelling, Thoughts, read_whole
from server.text.reasoning.think import MINIMAX_M2, THINK
from server.text.tokenizer import ChatTokenizer
from tests.server.text.reasoning.families import FAMILIES, tokenizer

WORDS = st.text("ab\n <>/think🤖é", max_size=20)


def split_at(text: str, at: list[int]) -> list[str]:
    places = sorted({min(i, len(text)) for i in at} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(places)]


def parse(parts: list[str], place: Place) -> ReasoningSplit:
    parser, whole = THINK.parser(place, Spelling()), ReasoningSplit()
    for split in (*map(parser.push, parts), parser.flush()):
        whole = ReasoningSplit(whole.reasoning + split.reasoning, whole.answer + split.answer)
    return whole


@pytest.mark.parametrize(
    ("text", "place", "thought", "answer"),
    [
        ("<think>\nhm\n</think>\n\nyes", "before", "hm", "yes"),
        ("\n <think>hm</think>yes </think>", "before", "hm", "yes </think>"),
        ("hm hm\n</think>\n\nyes", "thoughts", "hm hm", "yes"),
        ("<think>hm</think>\n\nyes", "thoughts", "hm", "yes"),  # the prompt has the mark already
        ("<think>never done \n", "before", "never done", ""),
        ("yes <think>hm</think>", "before", "", "yes <think>hm</think>"),
        ("<think>hm</think>", "answer", "", "<think>hm</think>"),
        ("  yes", "before", "", "  yes"),
        ("<thi", "before", "", "<thi"),
        ("<think></think>", "before", "", ""),
        ("a </thin b</think>c", "thoughts", "a </thin b", "c"),
    ],
)
@given(at=st.lists(st.integers(0, 30)))
def test_thoughts_and_answers_are_told_apart(text: str, place: Place, thought: str, answer: str, at: list[int]) -> None:
    assert parse(split_at(text, at), place) == ReasoningSplit(thought, answer)


@given(text=WORDS, place=st.sampled_from(("before", "thoughts", "answer")), at=st.lists(st.integers(0, 20)))
def test_telling_apart_does_not_depend_on_how_text_arrives(text: str, place: Place, at: list[int]) -> None:
    assert parse(split_at(text, at), place) == parse([text], place)


@pytest.mark.parametrize("name", FAMILIES)
def test_an_answer_begins_where_the_prompt_says(name: str) -> None:
    family, known = FAMILIES[name], tokenizer(name)
    assert known.reasoning is not None

    def place(variables: Any, words: str = "What is more?") -> Place:
        return known.encode_chat([{"role": "user", "content": words}], dict(variables)).place

    forged = " ".join(known.reasoning.marks)
    assert place(family.on) == place(family.on, forged) == place(family.on, f"{forged}\n") == family.place
    if family.off is not None:
        assert place(family.off) == place(family.off, forged) == "answer"


@pytest.mark.parametrize("name", FAMILIES)
def test_marks_in_what_users_say_are_text(name: str) -> None:
    known = tokenizer(name)
    assert known.reasoning is not None
    prompts = [render(known, [User(text=f"a {words} b")]) for words in ("x", *known.reasoning.marks)]
    marks = [[token for token in prompt.tokens if token in known.thought_tokens] for prompt in prompts]
    assert all(found == marks[0] for found in marks)
    assert all(mark in known.decode(prompt.tokens) for mark, prompt in zip(known.reasoning.marks, prompts[1:], strict=True))


def outputs(known: ChatTokenizer, thoughts: Thoughts, deltas: list[Delta]) -> list[OutputDelta]:
    parser = OutputParser(known, Request(tokens=(1,), sampling=Sampling(max_tokens=500, logprobs=0)), OutputOptions(), thoughts)
    return [parser.parse(delta) for delta in deltas]


def told(found: list[OutputDelta]) -> tuple[str, str, list[int], int]:
    """Thoughts, answer, tokens of the answer's log probabilities, count of thoughts."""
    logged = [entry.token.token for one in found for entry in one.logprobs]
    return "".join(one.reasoning for one in found), "".join(one.text for one in found), logged, found[-1].reasoning_tokens


def delta(tokens: tuple[int, ...], *, last: bool = True) -> Delta:
    logprobs = tuple(TokenLogprob(token=token, logprob=-1.0) for token in tokens)
    return Delta(tokens=tokens, logprobs=logprobs, finish="length" if last else None)


@pytest.mark.parametrize("name", FAMILIES)
def test_transcripts_cut_at_every_token(name: str) -> None:
    """The end may cut a mark; what came before is the same as in a stream, token by token."""
    family, known = FAMILIES[name], tokenizer(name)
    assert known.reasoning is not None
    thoughts, tokens = Thoughts(known.reasoning, family.place), known.encode(family.text, parse_special=True)
    whole = told(outputs(known, thoughts, [delta(tokens)]))
    assert whole[:2] == (family.thoughts, family.answer)
    assert known.decode(whole[2]).strip() == family.answer
    assert known.decode(tokens).find(family.thoughts) >= 0 and 0 < whole[3] <= len(known.encode(f"\n\n\n{family.thoughts}\n\n\n"))
    for cut in range(1, len(tokens)):
        assert told(outputs(known, thoughts, [delta(tokens[:cut], last=False), delta(tokens[cut:])])) == whole, cut
        one_by_one = [delta((token,), last=i == cut) for i, token in enumerate(tokens[: cut + 1])]
        assert told(outputs(known, thoughts, one_by_one)) == told(outputs(known, thoughts, [delta(tokens[: cut + 1])])), cut


@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name].tokens])
def test_marks_spelled_in_other_tokens_are_text(name: str) -> None:
    """As a model writes that quotes what a user asks it about."""
    family, known = FAMILIES[name], tokenizer(name)
    assert known.reasoning is not None
    marks, quoted = known.reasoning.marks, "".join(known.reasoning.marks)
    tokens = list(known.encode(family.text, parse_special=True))
    inside = next(i for i, token in enumerate(tokens) if known.decode([token]).strip() == "Hm" or known.decode([token]) == "H")
    tokens[inside:inside] = known.encode(quoted)
    tokens += known.encode(f" {quoted}")
    assert not set(known.encode(quoted)) & known.thought_tokens.keys() and marks
    found = told(outputs(known, Thoughts(known.reasoning, family.place), [delta(tuple(tokens))]))
    assert (found[0], found[1].replace(" ", "")) == (quoted + family.thoughts, (family.answer + quoted).replace(" ", ""))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_ends_thoughts_ends_them_exactly(name: str, count: int) -> None:
    family, known = FAMILIES[name], tokenizer(name)
    assert known.reasoning is not None
    thoughts = Thoughts(known.reasoning, family.place)
    reader, tokens = known.thought_reader(thoughts), list(known.encode(family.text, parse_special=True))
    end = known.encode(known.reasoning.end(calls=False), parse_special=True)
    while not (reader.thinking and reader.count >= count):
        reader.push(tokens.pop(0))
    for token in end:
        reader.push(token)
    assert reader.thoughts == count and not reader.thinking
    read = [reader.push(token) for token in known.encode("Yes.")]
    assert "".join(one.answer for one in read) + reader.flush().answer == "Yes."


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("qwen3", '<tool_call>\n{"name": "f"}'),
        ("glm", "<tool_call>f\n<arg_key>a</arg_key>"),
        ("kimi-k2-thinking", "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"),
        ("mistral", "[TOOL_CALLS]f[ARGS]{}"),
    ],
)
def test_a_tool_call_ends_thoughts(name: str, call: str) -> None:
    """If it begins with a token: the same characters in several tokens are only what it thinks of."""
    known, family = tokenizer(name), FAMILIES[name]
    assert known.reasoning is not None
    begun = family.text[: family.text.index("Hm")]
    tokens = known.encode(f"{begun}Hm.\n{call}", parse_special=True)
    found = told(outputs(known, Thoughts(known.reasoning, family.place), [delta(tokens)]))
    assert found[:2] == ("Hm.", call)
    spelled = told(outputs(known, Thoughts(known.reasoning, "thoughts"), [delta(known.encode(call))]))
    assert spelled[:2] == (call, "")


def test_a_model_may_write_only_the_closing_mark() -> None:
    assert MINIMAX_M2.place("]~b]ai\n", "ai\n") == "thoughts" and MINIMAX_M2.place("x", "<think></think>") == "answer"


@pytest.mark.parametrize("name", ["qwen3", "mistral", "gpt-oss"])
def test_thoughts_of_earlier_answers_are_the_templates_to_show(name: str) -> None:
    """Qwen and gpt-oss drop those before the last question, Mistral keeps them."""
    known = tokenizer(name)
    talk = [User(text="a"), Assistant(text="b", reasoning="HMM"), User(text="c")]
    shown = known.decode(render(known, talk).tokens)
    assert ("HMM" in shown) == (name == "mistral")
    if name == "mistral":
        assert "[THINK]HMM[/THINK]b" in shown


def test_thoughts_within_the_text_of_an_earlier_answer_are_found() -> None:
    assert read_whole(THINK.parser("before", Spelling()), "<think>\na\n</think>\n\nb") == THINK.split("<think>a</think>b")
    assert THINK.split("b") == ReasoningSplit("", "b")
    known = tokenizer("qwen3")
    told_before = [User(text="a"), Assistant(text="<think>HMM</think>b"), User(text="c")]
    assert "HMM" not in known.decode(render(known, told_before).tokens)
