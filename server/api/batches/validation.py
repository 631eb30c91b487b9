"""Reads the input file of a batch, checks every line, and stores the lines. What a request itself says is checked when it is answered,
as in a request that comes alone."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from retrieval.store.api import Store
from server.api.batches.types import BatchError, InputLine
from server.archive.api import Archive
from server.archive.batches.records import BatchRecord, LeaseLost, NewLine
from server.core.errors import ApiError
from server.http.json_body.size import expect_few_values

MAX_ERRORS = 100  # that are told
STORED_LINES, STORED_BYTES = 100, 4 << 20  # in one transaction
OVERHEAD_BYTES = 64 << 10  # of a line: all that is not the request
MAX_VALUES = 300_000  # in a line, whatever its endpoint takes
BOM = b"\xef\xbb\xbf"
REFUSED = {"stream": "an answer in a file cannot be streamed", "background": "a batch is in the background anyway"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    lines: int
    bytes: int  # of the input file
    line_bytes: int  # of a request's body


def validate(store: Store, archive: Archive, batch: BatchRecord, worker: str, limits: BatchLimits, go_on: Callable[[], bool]) -> None:
    """The batch is in progress afterwards, or has failed. Blocking. Raises LeaseLost, also where it is not to go on, and NotFound if the
    input file is removed meanwhile."""
    checker = _Checker(batch.endpoint, limits)
    archive.clear_lines(batch.id, worker)
    raw = numbered_lines(store.read_file(batch.owner, batch.input_file_id), limits.line_bytes + OVERHEAD_BYTES)
    for lines in _in_groups(checker.accepted(raw)):
        if not go_on():
            raise LeaseLost(batch.id)
        archive.add_lines(batch.id, worker, lines)
    if errors := checker.told():
        archive.refuse_batch(batch.id, worker, [error.model_dump() for error in errors])
    else:
        archive.accept_batch(batch.id, worker, checker.model)


def numbered_lines(content: Iterable[bytes], limit: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines that are not blank, with their numbers from 1; None for one of more than `limit` bytes."""
    number, held, too_long = 1, bytearray(), False
    for piece in content:
        first, *rest = piece.split(b"\n")
        for ended, part in ((False, first), *((True, one) for one in rest)):
            if ended:
                yield from _whole(number, held, too_long)
                number, too_long = number + 1, False
                held.clear()
            too_long = too_long or len(held) + len(part) > limit
            held += b"" if too_long else part
    yield from _whole(number, held, too_long)


def _whole(number: int, held: bytearray, too_long: bool) -> Iterator[tuple[int, bytes | None]]:
    text = bytes(held).removeprefix(BOM) if number == 1 else bytes(held)
    if too_long or text.strip():
        yield number, None if too_long else text


@dataclass
class _Checker:
    endpoint: str
    limits: BatchLimits
    errors: list[BatchError] = field(default_factory=list[BatchError])
    untold: int = 0
    lines: int = 0
    _ids: set[str] = field(default_factory=set[str])
    _models: Counter[str] = field(default_factory=Counter[str])

    @property
    def model(self) -> str | None:
        """That all lines name."""
        only = self._models.most_common(1)
        return only[0][0] if only and only[0][1] == self.lines else None

    def accepted(self, lines: Iterable[tuple[int, bytes | None]]) -> Iterator[NewLine]:
        """Until there is an error; the lines behind it are only checked."""
        for number, raw in lines:
            self.lines += 1
            if self.lines > self.limits.lines:
                told = f"the file has more than {self.limits.lines} requests, the most that a batch may have here"
                self._refuse(BatchError(code="too_many_lines", message=told, line=number))
                return
            line = self._check(number, raw)
            if isinstance(line, BatchError):
                self._refuse(line)
            elif not self.errors:
                yield line
        if not self.lines:
            self._refuse(BatchError(code="empty_file", message="the input file has no requests", param="input_file_id"))

    def told(self) -> list[BatchError]:
        more = BatchError(code="more_errors", message=f"{self.untold} more lines have errors") if self.untold else None
        return [*self.errors, *([more] if more else [])]

    def _refuse(self, error: BatchError) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(error)
        else:
            self.untold += 1

    def _check(self, number: int, raw: bytes | None) -> NewLine | BatchError:
        if raw is None:
            told = f"the line is longer than {self.limits.line_bytes} bytes, the most that a request may have here"
            return BatchError(code="line_too_long", message=told, line=number)
        line = _parse(number, raw)
        if isinstance(line, BatchError):
            return line
        if (wrong := self._wrong(line)) is not None:
            param, code, told = wrong
            return BatchError(code=code, message=f"{param}: {told}", param=param, line=number)
        self._ids.add(line.custom_id)
        if isinstance(model := line.body.get("model"), str):
            self._models[model] += 1
        return NewLine(number=number, custom_id=line.custom_id, body=json.dumps(line.body))

    def _wrong(self, line: InputLine) -> tuple[str, str, str] | None:
        """Field, code and message."""
        if line.method != "POST":
            return "method", "invalid_method", f"it is {line.method[:20]!r}; it must be POST"
        if line.url != self.endpoint:
            return "url", "invalid_url", f"it is {line.url[:200]!r}, and the endpoint of the batch {self.endpoint!r}"
        if line.custom_id in self._ids:
            return "custom_id", "duplicate_custom_id", "a line before this one has the same"
        if name := next((name for name in REFUSED if line.body.get(name)), None):
            return f"body.{name}", "unsupported_value", f"must be left out: {REFUSED[name]}"
        return None


def _parse(number: int, raw: bytes) -> InputLine | BatchError:
    try:
        expect_few_values(raw, MAX_VALUES)
        return InputLine.model_validate_json(raw)
    except ApiError as error:
        return BatchError(code=error.code or "invalid_line", message=error.message, line=number)
    except ValidationError as error:
        complaint = error.errors(include_url=False, include_context=False)[0]
    if complaint["type"] == "json_invalid":
        told = f"the line is not valid JSON: {complaint['msg'].removeprefix('Invalid JSON: ')}"
        return BatchError(code="invalid_json_line", message=told, line=number)
    name = str(complaint["loc"][0]) if complaint["loc"] else None
    code = "missing_required_parameter" if complaint["type"] == "missing" else complaint["type"]
    return BatchError(code=code, message=f"{name or 'line'}: {complaint['msg']}", param=name, line=number)


def _in_groups(lines: Iterator[NewLine]) -> Iterator[list[NewLine]]:
    group, size = list[NewLine](), 0
    for line in lines:
        group.append(line)
        size += len(line.body)
        if len(group) == STORED_LINES or size >= STORED_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
