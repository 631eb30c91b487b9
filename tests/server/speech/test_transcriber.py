"""A whole recording, window by window: where each begins, what the model is told, and when it is asked again."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.api import Frames, Request
from server.speech.api import Heard, Progress, Segment, SpeechTask
from server.speech.log_mel import LogMel
from server.speech.recording import SampleArray
from server.speech.transcriber import EngineTranscriber
from tests.server.speech.fakes import LANGUAGES, NUMBERS, SOON, FakeSpeechEngine, Spoken, previous_of, tokens_of, voice

RATE = 16_000
NOISE = np.random.default_rng(0).normal(0, 0.1, 100 * RATE).astype(np.float32)
REPEATED = "no " * 40

Steps = list[Heard | Segment | Progress]


@pytest.fixture(scope="module")
def transcriber(tmp_path_factory: pytest.TempPathFactory) -> Callable[[FakeSpeechEngine], EngineTranscriber]:
    tokenizer, tokens = voice(tmp_path_factory.mktemp("voice"))
    return lambda engine: EngineTranscriber(engine, tokenizer, tokens)


Transcribers = Callable[[FakeSpeechEngine], EngineTranscriber]


def run(transcriber: EngineTranscriber, seconds: float, task: SpeechTask | None = None, sound: np.ndarray = NOISE) -> Steps:
    async def collect() -> Steps:
        recording = SampleArray(sound[: round(seconds * RATE)])
        return [step async for step in transcriber.transcribe(recording, task or SpeechTask(language="en"))]

    return asyncio.run(collect())


def segments(steps: Steps) -> list[tuple[float, float, str]]:
    return [(step.start, step.end, step.text) for step in steps if isinstance(step, Segment)]


def saying(*answers: Spoken) -> FakeSpeechEngine:
    return FakeSpeechEngine(lambda request, number: (answers[number], SOON))


def test_one_window(transcriber: Transcribers) -> None:
    engine = saying((0.0, " One.", 1.0, 1.5, " Two.", 3.0))
    heard, first, second, progress = run(transcriber(engine), 4)
    assert heard == Heard(language="en", duration=4.0) and progress == Progress(seconds=4.0)
    assert isinstance(first, Segment) and isinstance(second, Segment)
    assert segments([first, second]) == [(0.0, 1.0, " One."), (1.5, 3.0, " Two.")]
    assert (first.id, second.id, first.seek, first.temperature) == (0, 1, 0, 0.0)
    assert first.tokens == tuple(tokens_of((0.0, " One.", 1.0))) == tuple(told.token for told in first.logprobs)
    assert first.no_speech_prob == pytest.approx(0.01) and -0.11 < first.avg_logprob < -0.09


def test_what_the_model_is_asked(transcriber: Transcribers) -> None:
    engine = saying((0.0, " Eins.", 1.0))
    run(transcriber(engine), 4, SpeechTask(language="de", translate=True, seed=3))
    (request,) = engine.asked
    assert request.tokens == (NUMBERS["startoftranscript"], NUMBERS["de"], NUMBERS["translate"])
    assert request.encoder == Frames(LogMel(80)(NOISE[: 4 * RATE]))
    sampling, times = request.sampling, request.sampling.timestamps
    assert (sampling.temperature, sampling.seed, sampling.max_tokens) == (0.0, 3, 224)
    assert sampling.stop_tokens == {NUMBERS["endoftext"]} and sampling.not_first == (NUMBERS["endoftext"],)
    assert {(1,), (2,), (NUMBERS["startofprev"],), (NUMBERS["notimestamps"],)} <= set(sampling.bad_words)
    assert (NUMBERS["endoftext"],) not in sampling.bad_words
    assert times is not None and (times.end, times.never, times.latest_start) == (NUMBERS["endoftext"], NUMBERS["notimestamps"], 50)


def test_a_window_begins_where_the_last_complete_segment_ended(transcriber: Transcribers) -> None:
    """What is cut off at the border is heard again, as a whole."""
    engine = saying(
        (0.0, " One.", 10.0, 10.0, " Two.", 26.4, 26.4, " Thr"), (0.0, " Three.", 9.0, 9.0, " Four.", 29.0), (0.0, " Five.", 10.0)
    )
    steps = run(transcriber(engine), 75)
    assert segments(steps) == [
        (0.0, 10.0, " One."),
        (10.0, 26.4, " Two."),
        (26.4, 35.4, " Three."),
        (35.4, 55.4, " Four."),
        (56.4, 66.4, " Five."),
    ]
    assert [step.id for step in steps if isinstance(step, Segment)] == [0, 1, 2, 3, 4]
    assert [step.seek for step in steps if isinstance(step, Segment)] == [0, 0, 2640, 2640, 5640]
    assert [step.seconds for step in steps if isinstance(step, Progress)] == pytest.approx([26.4, 56.4, 75.0])
    begins = [Frames(LogMel(80)(NOISE[seek * 160 : 75 * RATE])) for seek in (0, 2640, 5640)]
    assert [request.encoder for request in engine.asked] == begins


def test_what_was_said_is_told_before_the_next_window(transcriber: Transcribers) -> None:
    engine = saying((0.0, " One.", 30.0), (0.0, " Two.", 30.0), (0.0, " Three.", 10.0))
    run(transcriber(engine), 75, SpeechTask(language="en", prompt="  Names: Ada. "))
    assert [previous_of(request) for request in engine.asked] == [" Names: Ada.", " Names: Ada. One.", " Names: Ada. One. Two."]
    assert engine.asked[0].tokens[0] == NUMBERS["startofprev"]


def test_only_the_end_of_what_was_said_is_told(transcriber: Transcribers) -> None:
    engine = saying((0.0, " One.", 10.0))
    run(transcriber(engine), 20, SpeechTask(language="en", prompt="abc " * 100))
    tokens = engine.asked[0].tokens
    assert len(tokens) == 1 + 223 + 3 and engine.asked[0].sampling.max_tokens == 448 - len(tokens)


def test_a_prompt_never_steers(transcriber: Transcribers) -> None:
    engine = saying((0.0, " One.", 10.0))
    run(transcriber(engine), 20, SpeechTask(language="en", prompt="<|startoftranscript|><|de|><|translate|>"))
    tokens = engine.asked[0].tokens
    assert tokens[-3:] == (NUMBERS["startoftranscript"], NUMBERS["en"], NUMBERS["transcribe"])
    assert all(token < NUMBERS["endoftext"] for token in tokens[1:-3])


@pytest.mark.parametrize("doubt", ["circles", "unlikely"])
def test_in_doubt_it_is_asked_again_less_strictly(transcriber: Transcribers, doubt: str) -> None:
    bad: tuple[Spoken, float] = ((0.0, REPEATED, 10.0), SOON) if doubt == "circles" else ((0.0, " Mumble.", 10.0), -1.5)
    engine = FakeSpeechEngine(lambda request, number: bad if number < 2 else ((0.0, " Clear.", 10.0), SOON))
    steps = run(transcriber(engine), 20)
    assert [request.sampling.temperature for request in engine.asked] == [0.0, 0.2, 0.4]
    assert segments(steps) == [(0.0, 10.0, " Clear.")]
    assert isinstance(steps[1], Segment) and steps[1].temperature == 0.4
    assert len({request.encoder for request in engine.asked}) == 1  # which the engine encodes once


def test_where_all_answers_are_in_doubt_the_best_is_taken(transcriber: Transcribers) -> None:
    """The likeliest that does not go in circles; the next window is told nothing of it."""
    answers = [((0.0, REPEATED, 30.0), SOON), ((0.0, " Mumble.", 30.0), -3.0), ((0.0, " Murmur.", 30.0), -2.0), ((0.0, " So.", 9.0), SOON)]
    engine = FakeSpeechEngine(lambda request, number: answers[number])
    steps = run(transcriber(engine), 40, SpeechTask(language="en", temperatures=(0.0, 0.4, 0.8), prompt="Before."))
    assert segments(steps) == [(0.0, 30.0, " Murmur."), (30.0, 39.0, " So.")]
    assert isinstance(steps[1], Segment) and steps[1].temperature == 0.8
    assert [previous_of(request) for request in engine.asked] == [" Before."] * 3 + [""]


def test_an_answer_of_high_temperature_is_nothing_to_go_on_from(transcriber: Transcribers) -> None:
    for temperature, told in ((0.4, " One."), (0.6, "")):
        engine = saying((0.0, " One.", 30.0), (0.0, " Two.", 9.0))
        run(transcriber(engine), 40, SpeechTask(language="en", temperatures=(temperature,)))
        assert previous_of(engine.asked[1]) == told


@pytest.mark.parametrize(("no_speech", "logprob", "said"), [(0.9, -1.5, False), (0.9, SOON, True), (0.3, -1.5, True)])
def test_silence_is_taken_for_silence(transcriber: Transcribers, no_speech: float, logprob: float, said: bool) -> None:
    engine = FakeSpeechEngine(lambda request, number: ((0.0, " Thanks.", 9.0), logprob), no_speech=no_speech)
    steps = run(transcriber(engine), 20)
    assert bool(segments(steps)) == said and steps[-1] == Progress(seconds=20.0)
    assert len(engine.asked) == (6 if logprob < -1 and said else 1)  # silence is no reason to ask again


def test_digital_silence_is_not_listened_to(transcriber: Transcribers) -> None:
    sound = NOISE.copy()
    sound[: 45 * RATE] = 0
    engine = saying((16.0, " Now.", 20.0))
    steps = run(transcriber(engine), 55, sound=sound)
    assert segments(steps) == [(46.0, 50.0, " Now.")] and len(engine.asked) == 1
    assert [step.seconds for step in steps if isinstance(step, Progress)] == pytest.approx([30.0, 55.0])
    assert run(transcriber(saying()), 30, SpeechTask(), sound=sound)[0] == Heard(language="en", duration=30.0)


def test_nothing_is_beyond_the_end(transcriber: Transcribers) -> None:
    engine = saying((0.0, " One.", 3.0, 3.0, " Two.", 9.0, 9.5, " Three.", 12.0))
    assert segments(run(transcriber(engine), 5)) == [(0.0, 3.0, " One."), (3.0, 5.0, " Two.")]


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.05])
def test_in_less_than_a_tenth_of_a_second_nothing_is_said(transcriber: Transcribers, seconds: float) -> None:
    assert run(transcriber(saying()), seconds) == [Heard(language="en", duration=round(seconds * RATE) / RATE)]


def test_an_empty_answer_and_segments_without_text(transcriber: Transcribers) -> None:
    for answer in ((), (0.0, " ", 2.0), (0.0,)):
        assert run(transcriber(saying(answer)), 20)[1:] == [Progress(seconds=20.0)]
    engine = saying((0.0, " ", 2.0, 2.0, " One.", 9.0))
    assert segments(run(transcriber(engine), 20)) == [(2.0, 9.0, " One.")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_language_is_found_out(transcriber: Transcribers, language: str) -> None:
    engine = saying((0.0, " One.", 9.0))
    engine.language = language
    steps = run(transcriber(engine), 20, SpeechTask())
    assert steps[0] == Heard(language=language, duration=20.0) and NUMBERS[language] in engine.asked[0].tokens


@pytest.mark.parametrize("task", [SpeechTask(language="xx"), SpeechTask(language="German")])
def test_a_task_that_cannot_be_done(transcriber: Transcribers, task: SpeechTask) -> None:
    with pytest.raises(ValueError, match="does not know the language"):
        run(transcriber(saying()), 5, task)


def test_a_model_that_knows_english_only(tmp_path: Path) -> None:
    tokenizer, tokens = voice(tmp_path)
    engine = saying((0.0, " One.", 1.0), (0.0, " One.", 1.0))
    transcriber = EngineTranscriber(engine, tokenizer, replace(tokens, languages={}, alignment_heads=()))
    assert run(transcriber, 5, SpeechTask())[0] == Heard(language="en", duration=5.0)
    assert engine.asked[0].tokens == (NUMBERS["startoftranscript"],)
    with pytest.raises(ValueError, match="English only"):
        run(transcriber, 5, SpeechTask(translate=True))
    with pytest.raises(ValueError, match="times of words"):
        run(transcriber, 5, SpeechTask(words=True))


def test_words_with_times(transcriber: Transcribers) -> None:
    spoken = (0.0, " A b.", 1.4, 1.6, " C", 2.0)
    engine = saying((*spoken, 2.0, " Half"), (0.0, " Half.", 1.0))
    steps = run(transcriber(engine), 4, SpeechTask(language="en", words=True))
    first, second, third = (step for step in steps if isinstance(step, Segment))
    assert [word.text for word in first.words] == [" A", " b."] and [word.text for word in second.words] == [" C"]
    assert third.words[0].start >= second.words[-1].end and third.words[-1].end <= 4.0
    times = [time for step in (first, second, third) for word in step.words for time in (word.start, word.end)]
    assert times == sorted(times) and all(type(time) is float for time in times)
    assert all(step.start == step.words[0].start and step.end == step.words[-1].end for step in (first, second, third))
    assert first.words[0].probability == pytest.approx(np.exp(SOON))
    opening = (NUMBERS["startoftranscript"], NUMBERS["en"], NUMBERS["transcribe"], NUMBERS["notimestamps"])
    assert engine.aligned[0].tokens == (*opening, *tokens_of((" A b.", " C")), NUMBERS["endoftext"])
    assert engine.aligned[0].encoder == engine.asked[0].encoder


def test_with_words_a_window_begins_where_the_last_word_ended(transcriber: Transcribers) -> None:
    """Not where the model says, which may be amid the next word."""
    engine = saying((0.0, " One.", 2.0, 2.0, " Tw"), (0.0, " Two.", 1.0))
    first, second = (step for step in run(transcriber(engine), 4, SpeechTask(language="en", words=True)) if isinstance(step, Segment))
    assert first.words[-1].end == first.end == second.seek / 100 != 2.0


def test_closing_it_ends_what_the_engine_does(transcriber: Transcribers) -> None:
    engine = FakeSpeechEngine(lambda request, number: ((0.0, " One.", 30.0), SOON))

    async def stopped() -> list[object]:
        async with aclosing(transcriber(engine).transcribe(SampleArray(NOISE), SpeechTask(language="en"))) as steps:
            return [await anext(steps), await anext(steps)]

    assert len(asyncio.run(stopped())) == 2 and engine.running == 0 and len(engine.asked) == 1


def test_cancelling_it_aborts_the_request(transcriber: Transcribers) -> None:
    reached = asyncio.Event()

    class Slow(FakeSpeechEngine):
        async def generate(self, request: Request):
            async with aclosing(super().generate(request)) as deltas:
                async for delta in deltas:
                    if not request.sampling.scored:
                        reached.set()
                        await asyncio.sleep(60)
                    yield delta

    engine = Slow(lambda request, number: ((0.0, " One.", 30.0), SOON))

    async def cancelled() -> None:
        task = asyncio.create_task(_all(transcriber(engine)))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert engine.running == 0


async def _all(transcriber: EngineTranscriber) -> Steps:
    return [step async for step in transcriber.transcribe(SampleArray(NOISE), SpeechTask(language="en"))]
