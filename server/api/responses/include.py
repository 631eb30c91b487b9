"""Leaves out of items, responses and events what is only sent if the request's `include` names it."""

from collections.abc import Iterator, Sequence
from typing import get_args

from server.api.responses.types.request import Include, PromptFields
from server.core.messages import Json
from server.core.request import RequestWarning

SEARCH_RESULTS, LOGPROBS, ENCRYPTED_REASONING = "file_search_call.results", "message.output_text.logprobs", "reasoning.encrypted_content"


KNOWN = frozenset(get_args(Include))


def include_warnings(body: PromptFields) -> Iterator[RequestWarning]:
    """Of names that nothing here has."""
    for i, name in enumerate(getattr(body, "include", None) or ()):
        if name not in KNOWN:
            message = f"include.{i} has no effect: there is no {name!r} in responses of this server"
            yield RequestWarning(param=f"include.{i}", message=message)


def filter_response(body: Json, include: Sequence[str]) -> Json:
    return {**body, "output": [filter_item(item, include) for item in body["output"]]}


def filter_event(event: Json, include: Sequence[str]) -> Json:
    if "item" in event:
        return {**event, "item": filter_item(event["item"], include)}
    return {**event, "response": filter_response(event["response"], include)} if "response" in event else event


def filter_item(item: Json, include: Sequence[str]) -> Json:
    match item["type"]:
        case "file_search_call" if SEARCH_RESULTS not in include:
            return {**item, "results": None}
        case "message" if LOGPROBS not in include:
            parts: list[Json] = item["content"]
            return {**item, "content": [{**part, "logprobs": []} if part.get("logprobs") else part for part in parts]}
        case "reasoning" if ENCRYPTED_REASONING not in include:
            return {**item, "encrypted_content": None}
        case _:
            return item
