"""One sequence's tokens as text, reasoning and log probabilities: where it ends, and what says so."""

import pytest

from engine.api import Delta, Request, Sampling, TokenLogprob
from server.chat.call_tracker import CallTracker
from server.chat.output_parser import OutputParser
from server.chat.tools.toolset import ToolOwner
from server.core.events import OutputDelta
from server.core.messages import Tool
from server.core.request import OutputOptions
from server.text.reasoning.api import Place, Thoughts
from server.text.reasoning.think import THINK
from server.text.tokenizer import ChatTokenizer
from tests.server.fakes import text

TEXT = text("qwen")


def parsed(tokenizer: ChatTokenizer, generated: str, *stops: str, place: Place | None = None) -> list[OutputDelta]:
    """Token by token, up to the end. `place` None: the model does not think."""
    tokens = tokenizer.encode(generated, parse_special=True)
    request = Request(tokens=(1,), sampling=Sampling(max_tokens=len(tokens), logprobs=0))
    thoughts = None if place is None else Thoughts(THINK, place)
    parser, outputs = OutputParser(tokenizer, request, OutputOptions(stop=stops), thoughts), list[OutputDelta]()
    for i, token in enumerate(tokens):
        finish = "length" if i == len(tokens) - 1 else None
        outputs.append(parser.parse(Delta(tokens=(token,), logprobs=(TokenLogprob(token=token, logprob=-1.0),), finish=finish)))
        if outputs[-1].finish:
            break
    return outputs


def joined(outputs: list[OutputDelta]) -> tuple[str, str]:
    return "".join(output.reasoning for output in outputs), "".join(output.text for output in outputs)


@pytest.mark.parametrize("opened", [True, False])
def test_a_stop_string_in_reasoning_ends_nothing(opened: bool) -> None:
    start = "" if opened else "<think>\n"
    outputs = parsed(
        TEXT,
        f"{start}First I list:\nApples. END of list\n</think>\n\nThe answer: apples END tail",
        "END",
        place="thoughts" if opened else "before",
    )
    assert joined(outputs) == ("First I list:\nApples. END of list", "The answer: apples ")
    assert outputs[-1].finish == "stop" and outputs[-1].stop_string == "END"


def test_reasoning_that_is_not_finished_is_searched_neither() -> None:
    outputs = parsed(TEXT, "thinking END and END", "END", place="thoughts")
    assert joined(outputs) == ("thinking END and END", "") and outputs[-1].finish == "length"


@pytest.mark.parametrize("place", [None, "before"])
def test_log_probabilities_end_with_the_text(place: Place | None) -> None:
    outputs = parsed(TEXT, "The answer is END tail", "END", place=place)
    logged = [entry for output in outputs for entry in output.logprobs]
    assert TEXT.decode([entry.token.token for entry in logged]).strip() == "The answer is"
    assert joined(outputs)[1] == "The answer is "
    whole = [entry for output in parsed(TEXT, "The answer is EN", "END", place=place) for entry in output.logprobs]
    assert TEXT.decode([entry.token.token for entry in whole]) == "The answer is EN"


def test_a_forced_end_is_told_also_where_the_last_call_is_the_last_allowed() -> None:
    """The call is complete before the engine has said how it ended."""
    tool = Tool(name="f", description="", parameters={})
    tokens = TEXT.encode('<tool_call>\n{"name": "f", "arguments": {"a": "x"}}\n</tool_call>')
    tracker = CallTracker(TEXT.dialect.parser((tool,)), {"f": ToolOwner(None, "f")}, 1)
    parser = OutputParser(TEXT, Request(tokens=(1,), sampling=Sampling(max_tokens=500)), OutputOptions(), None, None, tracker)
    outputs = list[OutputDelta]()
    for i, token in enumerate(tokens):
        outputs.append(parser.parse(Delta(tokens=(token,), forced=i > len(tokens) // 2)))
        if outputs[-1].finish:
            break
    assert outputs[-1].finish == "length" and [call.cut for output in outputs for call in output.tool_calls if call.done] == [True]
