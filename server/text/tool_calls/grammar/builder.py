"""The rules of a grammar in llguidance's Lark syntax (its docs/syntax.md)."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

TokenLookup = Callable[[str], int | None]  # the id of a special token; None: ordinary text


@dataclass
class GrammarBuilder:
    """Collects the rules of a grammar. `markers`: strings that are written as tokens where the tokenizer has them. `prefix`: of the
    rules' names."""

    markers: Sequence[str]
    special_token_id: TokenLookup
    lines: list[str] = field(default_factory=list[str])
    prefix: str = ""

    def text(self, text: str) -> str:
        """An expression for `text`: markers as tokens, the rest as string literals."""
        ids = {marker: token for marker in self.markers if (token := self.special_token_id(marker)) is not None}
        parts = re.split("(" + "|".join(map(re.escape, sorted(ids, key=len, reverse=True))) + ")", text) if ids else [text]
        return " ".join(f"<[{ids[part]}]>" if part in ids else literal(part) for part in parts if part)

    def rule(self, body: str, options: str = "") -> str:
        """Adds a rule and returns its name."""
        name = f"{self.prefix}r{len(self.lines)}"
        self.lines.append(f"{name}{options}: {body}")
        return name

    def terminal(self, body: str) -> str:
        """Adds a terminal and returns its name."""
        name = f"{self.prefix.upper()}T{len(self.lines)}"
        self.lines.append(f"{name}: {body}")
        return name

    def until(self, text: str) -> str:
        """Adds a rule for anything up to and including the first `text`, as a token if it is one, and returns its name."""
        anything = self.terminal("/(?s:.*)/")
        if (token := self.special_token_id(text)) is not None:
            return self.rule(f"{anything} <[{token}]>")
        return self.rule(f"{anything} {literal(text)}", "[lazy]")

    def source(self, start: str) -> str:
        """The whole grammar; `start` is the body of its start rule."""
        return "\n".join(["%llguidance {}", f"start: {start}", *self.lines]) + "\n"


def literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
