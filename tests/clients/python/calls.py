"""Runs the calls of a client and prints what became of each, one JSON object a line. For scripts that run in an environment of
their own, in which nothing of this project is installed.
What must end by itself is asked for at temperature 0: an answer that was cut is an error to many clients."""

import asyncio
import inspect
import json
import os
from collections.abc import Callable
from typing import Any

URL = os.environ["STOA_URL"]
MODEL, EMBEDDER, KEY = "smollm2", "minilm", "unused"
CALLS: list[tuple[str, Callable[[], Any]]] = []


def call(function: Callable[[], Any]) -> Callable[[], Any]:
    """Marks a call. It fails by raising, or by giving back what is empty."""
    CALLS.append((function.__name__, function))
    return function


def main() -> None:
    for name, function in CALLS:
        error = None
        try:
            found = function()
            found = asyncio.run(found) if inspect.isawaitable(found) else found
            if not found:
                error = f"nothing came: {found!r}"
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"[:400]
        print(json.dumps({"call": name, "error": error}), flush=True)
