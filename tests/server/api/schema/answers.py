"""Holds whatever our server answers below OpenAI's paths against what the specification says of that path."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.server.api.schema.strict import faults, faults_by, specification

Json = Any
EVENTS, JSON = "text/event-stream", "application/json"


def answer_faults(method: str, path: str, status: int, media_type: str, body: str) -> list[str]:
    """[] also for paths that are none of OpenAI's. `path`: without /v1."""
    kind = media_type.partition(";")[0]
    found = _schemas_of(method, path.partition("?")[0])
    if found is None or kind not in (EVENTS, JSON):
        return []
    if status >= 400:
        return faults("ErrorResponse", json.loads(body))
    name, by_kind = found
    if kind == EVENTS and name == "GET /responses/{response_id}":
        by_kind = specification()["answers"]["POST /responses"]  # the specification has the parameter `stream`, but forgets what comes
    if kind == EVENTS and name == "POST /completions":
        by_kind = {EVENTS: by_kind[JSON]}  # the specification says in words that chunks have the shape of the whole
    if name == "GET /chat/completions/{completion_id}/messages":
        return []  # the specification has answers of assistants alone; conversations have others, too
    if kind not in by_kind:
        return [] if not by_kind else [f"{name}: {kind} is none of {sorted(by_kind)}"]
    values = list(_events(body)) if kind == EVENTS else [json.loads(body)]
    return [fault for value in values for fault in _value_faults(by_kind[kind], value, name)]


def _value_faults(schema: Json, value: Json, name: str) -> list[str]:
    """A stream may end with an error."""
    return faults("ErrorResponse", value) if isinstance(value, dict) and set(value) == {"error"} else faults_by(schema, value, name)


def _schemas_of(method: str, path: str) -> tuple[str, Json] | None:
    """With the path as the specification has it. The more literal of two paths counts."""
    for name, found in sorted(specification()["answers"].items(), key=lambda one: one[0].count("{")):
        known_method, _, known_path = name.partition(" ")
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(known_path))
        if known_method == method and re.fullmatch(pattern, path):
            return name, found
    return None


def _events(body: str) -> Iterator[Json]:
    for line in body.split("\n"):
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))
