"""Events of the Responses API as numbered JSON and as server-sent events, and the final event of a stream."""

import json

from server.core.messages import Json

FINISHED_TYPES = frozenset({"response.completed", "response.incomplete"})


def event_json(sequence_number: int, event: Json) -> str:
    """JSON text that begins with `type` and `sequence_number`."""
    return json.dumps({"type": event["type"], "sequence_number": sequence_number, **event})


def sse_frame(text: str) -> bytes:
    """`text` comes from event_json; its type becomes the name of the server-sent event."""
    start = len('{"type": "')
    event_type = text[start : text.index('"', start)]
    return f"event: {event_type}\ndata: {text}\n\n".encode()


def final_event(body: Json) -> Json:
    """The last event of a stream; `body` is the finished Response. A cancelled response ends with response.incomplete: OpenAI's
    specification has no stream event for it (`response.cancelled` is a webhook), and its SDK would parse an unknown type as the first
    type that it knows. The Response in the event has status "cancelled"."""
    status = "incomplete" if body["status"] == "cancelled" else body["status"]
    return {"type": f"response.{status}", "response": body}
