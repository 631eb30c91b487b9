"""Parses the tokens of one generated sequence into text, reasoning, tool calls, log probabilities and a finish reason."""

from collections.abc import Sequence
from dataclasses import replace

from engine.api import Delta, EngineError, Request, TokenLogprob, Usage
from server.chat.call_tracker import CallTracker
from server.chat.repetition import RepetitionDetector
from server.core.events import FinishReason, LoggedToken, OutputDelta
from server.core.request import OutputOptions
from server.text.detokenize import StopStrings
from server.text.reasoning.api import Thoughts
from server.text.reasoning.reader import Read, ThoughtReader, TokenReader
from server.text.tokenizer import ChatTokenizer


class OutputParser:
    """Parses one sequence. Text that may still turn out to be part of a marker is held back, with its log probabilities. There are
    none of thoughts and of calls."""

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        request: Request,
        options: OutputOptions,
        thoughts: Thoughts | None,
        repetition: RepetitionDetector | None = None,
        tracker: CallTracker | None = None,
        delimiters: Sequence[str] = (),
    ) -> None:
        """`thoughts`: None of a model that writes its answer at once. `options`: stop strings end the sequence where they occur in the
        text, not in thoughts or the arguments of calls. `repetition`: ends it when it repeats itself. `tracker`: it may call tools.
        `delimiters`: the delimiters of data in the prompt; the sequence ends when the model copies one."""
        self._request, self._repetition, self._tracker = request, repetition, tracker
        self._show_reasoning = options.show_reasoning
        shown = tokenizer.token_bytes if options.show_special_tokens else tokenizer.visible_bytes
        self._reader: TokenReader[TokenLogprob] | ThoughtReader[TokenLogprob]
        model, continued = tokenizer.encoder_decoder, len(request.tokens) > 1
        skip_space = model is not None and model.spaced and not continued
        self._reader = TokenReader(shown, skip_space=skip_space) if thoughts is None else tokenizer.thought_reader(thoughts, shown)
        self._stop_strings = StopStrings((*options.stop, *delimiters), included=options.stop if options.include_stop else ())
        self._delimiters = frozenset(delimiters)
        self._pending: list[LoggedToken] = []
        self._tokens: list[int] = []  # since the last output
        self._prompt_logprobs: tuple[TokenLogprob, ...] = ()  # until the first output
        self._answered = 0  # characters of the answer
        self._withheld = 0  # of these, characters that may belong to a stop string, or come after it
        self._generated = 0
        self._usage: Usage | None = None  # last reported by the engine
        self._first_sent = False  # the first output has been returned
        self._forced = False  # the engine is bringing the sequence to its end

    def parse(self, delta: Delta) -> OutputDelta:
        if delta.finish == "abort":
            raise EngineError("the engine could not go on with this request")
        self._usage, self._forced = delta.usage or self._usage, self._forced or delta.forced
        self._prompt_logprobs = delta.prompt_logprobs or self._prompt_logprobs
        self._tokens += delta.tokens
        read = self._read(delta)
        repeats = self._repetition is not None and self._repetition.push(read.raw)
        finish: FinishReason | None = "length" if repeats or self._was_ended() else delta.finish
        if finish and not delta.finish:
            _add(read, self._reader.flush())
        self._pending += [LoggedToken(logprob, at) for logprob, at in read.notes]
        self._answered += len(read.answer)
        output = self._parse_text(read.answer, finish) if self._tracker is None else self._parse_calls(read.answer, finish, self._tracker)
        output.reasoning = read.reasoning if self._show_reasoning else ""
        output.usage = self._usage_so_far() if output.finish or not self._first_sent else None
        output.reasoning_tokens = self._reader.thoughts
        if not output.empty:
            self._first_sent = True
            output.tokens, self._tokens = self._tokens, []
            output.prompt_logprobs, self._prompt_logprobs = self._prompt_logprobs, ()
        return output

    def _parse_text(self, text: str, finish: FinishReason | None) -> OutputDelta:
        answer, finish = self._until_stop_string(text, finish)
        self._withheld += len(text) - len(answer)
        return OutputDelta(
            text=answer,
            logprobs=self._release_logprobs(finish),
            finish=finish,
            stop_string=self._own_stop_string,
        )

    def _parse_calls(self, text: str, finish: FinishReason | None, tracker: CallTracker) -> OutputDelta:
        answer, deltas = tracker.push_last(text, cut=finish == "length") if finish else tracker.push(text)
        if self._forced:
            deltas = [replace(delta, cut=delta.done) for delta in deltas]
        if tracker.limit_reached:
            finish = "length" if self._forced else "stop"
        answer, finish = self._until_stop_string(answer, finish)
        logged = self._logprobs_beside_calls(answer, tracker, finish)
        return OutputDelta(text=answer, tool_calls=deltas, logprobs=logged, finish=finish, stop_string=self._own_stop_string)

    def _until_stop_string(self, answer: str, finish: FinishReason | None) -> tuple[str, FinishReason | None]:
        """Reasoning is not searched: what ends an answer may well occur in thoughts about it."""
        if self._generated >= self._request.sampling.min_tokens:
            answer = self._stop_strings.push(answer)
        if self._stop_strings.stopped:
            return answer, "stop"
        return answer + (self._stop_strings.flush() if finish else ""), finish

    @property
    def _own_stop_string(self) -> str | None:
        """The one of the request's stop strings that ended the sequence."""
        which = self._stop_strings.matched
        return None if which in self._delimiters else which

    def _logprobs_beside_calls(self, visible: str, tracker: CallTracker, finish: FinishReason | None) -> list[LoggedToken]:
        """Log probabilities of visible text; those of a call's tokens are dropped."""
        if not (visible or tracker.any_begun or finish):
            return []
        ready, self._pending = self._pending, []
        return ready if visible else []

    def _read(self, delta: Delta) -> Read[TokenLogprob]:
        self._generated += len(delta.tokens)
        read = Read[TokenLogprob]()
        for i, token in enumerate(delta.tokens):
            if token not in self._request.sampling.stop_tokens:  # one ends the sequence and has no text
                _add(read, self._reader.push(token, delta.logprobs[i] if delta.logprobs else None))
        if delta.finish:
            _add(read, self._reader.flush())
        return read

    def _release_logprobs(self, finish: FinishReason | None) -> list[LoggedToken]:
        """Log probabilities of visible text, without those that a stop string cut off."""
        if finish and not self._stop_strings.stopped:
            ready, self._pending = self._pending, []
            return ready
        ready = [logged for logged in self._pending if logged.offset < self._answered - self._withheld]
        self._pending = self._pending[len(ready) :]
        return ready

    def _was_ended(self) -> bool:
        """The last token that was left has been made an end."""
        sampling = self._request.sampling
        return sampling.forced_last is not None and self._generated >= sampling.max_tokens

    def _usage_so_far(self) -> Usage:
        """The engine's prompt count with our count of generated tokens, which is right also where the sequence was ended here."""
        reported = self._usage or Usage(prompt=prompt_length(self._request), completion=0, cached=0)
        return Usage(prompt=reported.prompt, completion=self._generated, cached=reported.cached)


def prompt_length(request: Request) -> int:
    """Tokens, with those that an encoder reads."""
    return len(request.tokens) + (len(request.encoder) if isinstance(request.encoder, tuple) else 0)


def _add(read: Read[TokenLogprob], more: Read[TokenLogprob]) -> None:
    read.raw += more.raw
    read.reasoning += more.reasoning
    read.answer += more.answer
    read.notes += more.notes
