"""An unknown field that is null says nothing: some clients send every field that they know. It is dropped instead of refused."""

import json
from typing import Any

from pydantic import ValidationError

from server.core.errors import path_in


def drop_unknown_nulls(error: ValidationError, body: bytes) -> bytes | None:
    """The JSON text `body` without the fields that `error` complains of as unknown and that are null. None: there are none."""
    complaints = error.errors(include_url=False, include_context=False)
    unknown = [one for one in complaints if one["type"] == "extra_forbidden" and one["input"] is None]
    if not unknown:
        return None
    data: Any = json.loads(body)
    for complaint in unknown:
        *path, name = path_in(data, complaint["loc"])
        holder = data
        for step in path:
            holder = holder[step]
        if isinstance(holder, dict):
            holder.pop(name, None)  # pyright: ignore[reportUnknownMemberType]
    return json.dumps(data).encode()
