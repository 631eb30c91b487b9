"""Arguments that a dialect writes one by one, told as the JSON text of one object."""

import json

from server.text.tool_calls.parsing.turn_parser import CallEmitter


def escaped(text: str) -> str:
    """As it stands within a JSON string. Half of a surrogate pair is no character."""
    return json.dumps(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), ensure_ascii=False)[1:-1]


class Parts:
    def __init__(self, voice: CallEmitter) -> None:
        self._voice = voice
        self.names: list[str] = []

    def key(self, name: str) -> None:
        """Its value comes next, as JSON."""
        self._voice.arguments(f'{", " if self.names else "{"}"{escaped(name)}": ')
        self.names.append(name)

    def end(self) -> None:
        if self.names:
            self._voice.arguments("}")
        self._voice.done()
