"""Stream events put together again: the content of a message that is sent at once."""

import json
from typing import Any

Json = dict[str, Any]


class Content:
    def __init__(self) -> None:
        self.blocks: list[Json] = []
        self._input: list[str] = []

    def add(self, event: Json) -> None:
        match event["type"]:
            case "content_block_start":
                self.blocks.append(dict(event["content_block"]))
                self._input = []
            case "content_block_delta":
                self._grow(event["delta"])
            case _:
                if self._input:
                    self.blocks[-1]["input"] = _read("".join(self._input))

    def _grow(self, delta: Json) -> None:
        block = self.blocks[-1]
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
            case "citations_delta":
                block.setdefault("citations", []).append(delta["citation"])
            case _:
                self._input.append(delta["partial_json"])


def _read(arguments: str) -> Json:
    """{} of a call that the end of the tokens has cut off; stop_reason says that it did."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}
