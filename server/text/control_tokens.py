"""A model's control tokens, and how untrusted text is kept from forming them.

In the tokenizer each control token is replaced by an alias: random private-use characters, drawn when the model is loaded. Text from
outside cannot contain an alias, so it cannot become a control token; everything else is encoded by the tokenizer as usual. In trusted
text (what a chat template writes) control tokens are replaced by their aliases before encoding (`to_aliases`). So that this leaves
alone what a template copies from messages, their strings are escaped first: an escape character that does not occur in the request
is put around each character with which a control token could begin or end (`escape`), and removed before encoding."""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

ESCAPE_CHARACTERS = range(0xF0000, 0xFFFFE)  # private use, plane 15
ALIAS_CHARACTERS = range(0x100000, 0x10FFFE)  # private use, plane 16
ALIAS_LENGTH = 6  # characters of 16 bits each: 96 random bits

PART = 1 << 16  # characters

COMPARED_KEYS = frozenset({"role", "type"})  # keys whose values templates compare
MESSAGE_WORDS = (
    "role content text image name tool_calls tool_call_id reasoning_content reasoning thinking "
    "id function arguments user assistant system tool"
)
SCHEMA_WORDS = (
    "type properties required items enum const default anyOf oneOf allOf additionalProperties parameters description title format"
)
TYPE_WORDS = "string number integer boolean object array null"
TEMPLATE_WORDS = frozenset(
    f"{MESSAGE_WORDS} {SCHEMA_WORDS} {TYPE_WORDS}".split(" ")
)  # words that templates compare with; none can form a control token
Spec = dict[str, Any]  # tokenizer.json, parsed


class NoUnusedCharacter(ValueError):
    """Every character that could serve as escape character occurs in the request."""


@dataclass(frozen=True)
class ControlTokens:
    aliases: Mapping[str, str]  # control token as templates write it -> alias
    pattern: re.Pattern[str]
    edge_characters: re.Pattern[str]  # characters that a control token begins or ends with

    def escape(self, text: str, escape_char: str) -> str:
        """`text` such that `to_aliases` finds no control token in it, or built with it. White space at its ends is not enclosed:
        templates trim it."""
        core = text.strip()
        start = len(text) - len(text.lstrip()) if core else 0
        escaped = "".join(self.edge_characters.sub(lambda found: f"{escape_char}{found[0]}{escape_char}", part) for part in _parts(core))
        if core and any(core in control for control in self.aliases):  # '<|' + core + '|>' would make one
            escaped = f"{escape_char}{escaped}{escape_char}"
        return text[:start] + escaped + text[start + len(core) :]

    def escape_strings(self, values: Mapping[str, Any], escape_char: str) -> dict[str, Any]:
        """A message, a tool or a template's variables with all strings escaped, keys included, except TEMPLATE_WORDS."""
        return {
            self._escape_key(k, escape_char): v if k in COMPARED_KEYS and _is_template_word(v) else self._escape_value(v, escape_char)
            for k, v in values.items()
        }

    def _escape_value(self, value: Any, escape_char: str) -> Any:
        match value:
            case str():
                return self.escape(value, escape_char)
            case Mapping():
                return self.escape_strings(cast(Mapping[str, Any], value), escape_char)
            case list() | tuple():
                return [self._escape_value(part, escape_char) for part in cast(Sequence[Any], value)]
            case _:
                return value

    def _escape_key(self, key: str, escape_char: str) -> str:
        return key if key in TEMPLATE_WORDS else self.escape(key, escape_char)

    def to_aliases(self, text: str) -> str:
        """`text` with its control tokens replaced by their aliases."""
        return self.pattern.sub(lambda found: self.aliases[found[0]], text)

    def from_aliases(self, text: str) -> str:
        """`text` with aliases replaced by the control tokens they stand for."""
        for control, alias in self.aliases.items():
            text = text.replace(alias, control)
        return text


def _parts(text: str) -> Iterator[str]:
    """Pieces of a long text: what works on all of it at once would hold the GIL for long."""
    return (text[at : at + PART] for at in range(0, len(text), PART)) if len(text) > PART else iter((text,))


def find_control_tokens(spec: Spec, template: str, markers: Iterable[str], spelled: Iterable[str] = ()) -> ControlTokens:
    """The control tokens of a tokenizer: its special tokens, those of `markers` that it has, and added tokens that the chat template
    writes. Tokens of white space only are text, whatever a checkpoint says. `spelled`: what escaped text must not have either."""
    added: list[dict[str, Any]] = spec["added_tokens"]
    known = frozenset(markers)
    names = {t["content"] for t in added if t["special"] or t["content"] in known or t["content"] in template}
    names = {name for name in names if name.strip()}
    aliases = {name: _new_alias() for name in names}
    longest_first = sorted(names, key=len, reverse=True)
    edges = {edge for name in (*names, *spelled) for edge in (name.strip()[0], name.strip()[-1])}
    return ControlTokens(
        aliases=aliases,
        pattern=re.compile("|".join(map(re.escape, longest_first)) or "(?!)"),
        edge_characters=re.compile(f"[{re.escape(''.join(sorted(edges)))}]" if edges else "(?!)"),
    )


def alias_spec(spec: Spec, aliases: Mapping[str, str]) -> Spec:
    """tokenizer.json with aliases in its added tokens, vocabulary and unknown token. Ids stay the same. Merges that would form a
    control token from text are removed."""
    model: dict[str, Any] = {**spec["model"], "vocab": _alias_vocab(spec["model"]["vocab"], aliases)}
    if (unknown := model.get("unk_token")) is not None:
        model["unk_token"] = aliases.get(unknown, unknown)
    if merges := model.get("merges"):
        model["merges"] = [pair for pair in merges if _merged_token(pair) not in aliases]
    added = [{**token, "content": aliases.get(token["content"], token["content"])} for token in spec["added_tokens"]]
    return {**spec, "model": model, "added_tokens": added}


def unused_character(texts: Iterable[str]) -> str:
    """A private-use character that occurs in none of `texts`. Raises NoUnusedCharacter."""
    used = set[str]()
    for text in texts:
        for part in _parts(text):
            used.update(part)
    for code in ESCAPE_CHARACTERS:
        if (char := chr(code)) not in used:
            return char
    raise NoUnusedCharacter("the messages use every private-use character of plane 15")


def _is_template_word(value: Any) -> bool:
    """Whether `value` is one of TEMPLATE_WORDS or a list of them."""
    return all(
        isinstance(word, str) and word in TEMPLATE_WORDS for word in (cast(list[Any], value) if isinstance(value, list) else [value])
    )


def all_strings(value: Any) -> Iterator[str]:
    """All strings in a JSON-like value, keys included."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, item in cast(Mapping[str, Any], value).items():
                yield key
                yield from all_strings(item)
        case list() | tuple():
            for part in cast(Sequence[Any], value):
                yield from all_strings(part)
        case _:
            pass


def _new_alias() -> str:
    return "".join(chr(ALIAS_CHARACTERS[secrets.randbelow(len(ALIAS_CHARACTERS))]) for _ in range(ALIAS_LENGTH))


def _alias_vocab(vocab: dict[str, int] | list[tuple[str, float]], aliases: Mapping[str, str]) -> Any:
    if isinstance(vocab, list):  # Unigram: (token, score) in the order of ids
        return [(aliases.get(token, token), score) for token, score in vocab]
    return {aliases.get(token, token): number for token, number in vocab.items()}


def _merged_token(pair: str | list[str]) -> str:
    return pair.replace(" ", "", 1) if isinstance(pair, str) else "".join(pair)
