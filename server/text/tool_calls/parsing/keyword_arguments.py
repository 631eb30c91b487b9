"""Turns arguments that a dialect writes as separate key-value pairs into the JSON text of one object."""

import json

from server.text.tool_calls.parsing.call_emitter import CallEmitter


def escape_json(text: str) -> str:
    """`text` as it is written inside a JSON string. Unpaired surrogates become U+FFFD."""
    return json.dumps(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), ensure_ascii=False)[1:-1]


class KeywordArguments:
    """Emits the arguments of the call that is open in `emitter`: per argument, `key` and then its value as JSON; last `end`."""

    def __init__(self, emitter: CallEmitter) -> None:
        self._emitter = emitter
        self.names: list[str] = []

    def key(self, name: str) -> None:
        self._emitter.arguments(f'{", " if self.names else "{"}"{escape_json(name)}": ')
        self.names.append(name)

    def end(self) -> None:
        """Closes the object and the call."""
        if self.names:
            self._emitter.arguments("}")
        self._emitter.done()
