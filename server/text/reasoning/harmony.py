"""gpt-oss (Harmony): messages with headers that name a channel. "analysis" is thoughts, everything else is answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.text.detokenize import overlap
from server.text.reasoning.api import Place, ReasoningParser, ReasoningSplit, Spelling, ThoughtRules
from server.text.tool_calls.grammar.builder import GrammarBuilder
from server.text.tool_calls.parsing.scanner import Scanner, Steps

START, CHANNEL, MESSAGE, CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
END, CALL, RETURN = "<|end|>", "<|call|>", "<|return|>"
MARKERS = (START, CHANNEL, MESSAGE, CONSTRAIN, END)
RECIPIENT = "to=functions."
MAX_HEADER_LENGTH = 256  # characters


@dataclass(frozen=True, slots=True)
class Channels:
    """Implements ReasoningFormat."""

    marks: tuple[str, ...] = MARKERS
    reopening: tuple[str, ...] = (f"{CHANNEL}analysis",)

    def end(self, *, calls: bool) -> str:
        return f"{END}{START}assistant{CHANNEL}" + ("" if calls else f"final{MESSAGE}")

    def place(self, prompt: str, tail: str) -> Place:
        return "before"

    def parser(self, place: Place, spelling: Spelling, call_marks: Sequence[str] = ()) -> ReasoningParser:
        return ChannelParser(spelling)

    def split(self, text: str) -> ReasoningSplit:
        return ReasoningSplit(answer=text)

    def rules(self, place: Place, builder: GrammarBuilder, calls: str = "") -> ThoughtRules:
        """`calls` stand in a channel of their own, never within thoughts."""
        next_message = builder.text(f"{START}assistant{CHANNEL}")
        analysis = f"({builder.text(f'analysis{MESSAGE}')} {builder.until(END)} {next_message})*"
        return ThoughtRules(thoughts=f"{builder.text(CHANNEL)} {analysis}", opening=builder.text(f"final{MESSAGE}"))


class ChannelParser:
    """Implements ReasoningParser. Calls stay in the answer, with a normalized header, for the dialect's call parser."""

    def __init__(self, spelling: Spelling = Spelling()) -> None:  # noqa: B008 (it is frozen)
        self._start, self._channel, self._message = spelling(START), spelling(CHANNEL), spelling(MESSAGE)
        self._ends = tuple(map(spelling, (END, CALL, RETURN)))
        self._scanner = Scanner()
        self._split = ReasoningSplit()
        self._steps = self._turn()
        self.place: Place = "before"
        self.undecided = False
        self.marks_read = 0

    def push(self, text: str) -> ReasoningSplit:
        self._scanner.push(text, self._scanner.pos)
        return self._advance()

    def flush(self) -> ReasoningSplit:
        self._scanner.ended = True
        return self._advance()

    def _advance(self) -> ReasoningSplit:
        self._split = split = ReasoningSplit()
        next(self._steps, None)
        return split

    def _turn(self) -> Steps[None]:
        while (yield from self._scanner.peek()):
            self.undecided = True
            header = yield from self._header()
            self.undecided = False
            channel, is_call = header.partition(CHANNEL)[2].strip(), RECIPIENT in header
            self.place = "thoughts" if channel.startswith("analysis") and not is_call else "answer"
            if is_call:
                self._split.answer += f"{CHANNEL}{header.replace(CHANNEL, ' ')}{MESSAGE}"
            yield from self._body()
            if is_call:
                self._split.answer += CALL
            self.place = "between"

    def _header(self) -> Steps[str]:
        """The header of the next message, with plain marks; "" if there is none and text begins at once."""
        yield from self._scanner.take(self._start)
        yield from self._scanner.take("assistant")
        rest = yield from self._scanner.peek(len(RECIPIENT) + 1)
        if not (rest.startswith(self._channel[: len(rest)]) or rest.lstrip().startswith(RECIPIENT[: len(rest.lstrip())])):
            return ""
        header = ""
        while not (yield from self._scanner.take(self._message)):
            if not (char := (yield from self._scanner.peek())) or len(header) > MAX_HEADER_LENGTH:
                return ""  # an incomplete or overlong header is dropped
            header += char
            self._scanner.pos += 1
        self.marks_read += 1
        return header.replace(self._channel, CHANNEL)

    def _body(self) -> Steps[None]:
        """Emits the text of a message up to its end token."""
        scanner = self._scanner
        while True:
            rest = scanner.text[scanner.pos :]
            found = min(((at, end) for end in self._ends if (at := rest.find(end)) >= 0), default=None)
            partial = 0 if scanner.ended else max(overlap(rest, end) for end in self._ends)
            certain = found[0] if found else len(rest) - partial
            self._emit(rest[:certain])
            scanner.pos += certain + (len(found[1]) if found else 0)
            self.undecided = not found and partial > 0
            if found:
                self.marks_read += 1
            if found or scanner.ended:
                return
            yield

    def _emit(self, text: str) -> None:
        if self.place == "thoughts":
            self._split.reasoning += text
        else:
            self._split.answer += text


HARMONY_CHANNELS = Channels()
