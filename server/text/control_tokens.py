"""Which tokens steer a model, and how text is kept from spelling them.

Inside the tokenizer every control token gets another spelling, an alias of private-use characters drawn at start. No
text that comes from outside can contain it, so none can become a control token, and everything else is encoded by the
tokenizer itself, exactly as always. Text that may steer (what a chat template writes) has its control tokens replaced by
their aliases first (`arm`). What a template copies from a message is told apart by marks: a character that occurs nowhere
in the request stands around each character that a control token could begin or end with (`guard`).
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

ESCAPE_CHARACTERS = range(0xF0000, 0xFFFFE)  # private use: marks
ALIAS_CHARACTERS = range(0x100000, 0x10FFFE)  # private use: aliases
ALIAS_LENGTH = 6  # characters of 16 bits: 96 bits that nobody can guess

COMPARED_KEYS = frozenset({"role", "type"})  # keys whose values templates compare
MESSAGE_WORDS = "role content name tool_calls tool_call_id reasoning_content id function arguments user assistant system tool"
SCHEMA_WORDS = (
    "type properties required items enum const default anyOf oneOf allOf additionalProperties parameters description title format"
)
TYPE_WORDS = "string number integer boolean object array null"
TEMPLATE_WORDS = frozenset(
    f"{MESSAGE_WORDS} {SCHEMA_WORDS} {TYPE_WORDS}".split(" ")
)  # that templates look for; none of them steers a model
Spec = dict[str, Any]  # tokenizer.json, parsed


class NoUnusedCharacter(ValueError):
    """Every character that could serve as a mark occurs in the request."""


@dataclass(frozen=True)
class ControlTokens:
    aliases: Mapping[str, str]  # control token as templates write it -> alias
    pattern: re.Pattern[str]
    edge_characters: re.Pattern[str]  # characters that a control token begins or ends with

    def escape(self, text: str, escape_char: str) -> str:
        """`text` such that no control token in it, or built with it, survives `arm`. White space at its ends stays there, as
        templates trim."""
        core = text.strip()
        start = text.index(core)
        marked = self.edge_characters.sub(lambda found: f"{escape_char}{found[0]}{escape_char}", core)
        if core and any(core in control for control in self.aliases):  # '<|' + core + '|>' would make one
            marked = f"{escape_char}{marked}{escape_char}"
        return text[:start] + marked + text[start + len(core) :]

    def escape_strings(self, values: Mapping[str, Any], escape_char: str) -> dict[str, Any]:
        """A message, a tool or a template's variables with all their strings guarded, names of properties too; but not the words
        that templates look for."""
        return {
            self._escape_key(k, escape_char): v if k in COMPARED_KEYS and _is_template_word(v) else self._escape_value(v, escape_char)
            for k, v in values.items()
        }

    def _escape_value(self, given: Any, mark: str) -> Any:
        match given:
            case str():
                return self.escape(given, mark)
            case Mapping():
                return self.escape_strings(cast(Mapping[str, Any], given), mark)
            case list() | tuple():
                return [self._escape_value(part, mark) for part in cast(Sequence[Any], given)]
            case _:
                return given

    def _escape_key(self, key: str, mark: str) -> str:
        return key if key in TEMPLATE_WORDS else self.escape(key, mark)

    def to_aliases(self, text: str) -> str:
        """`text` with its control tokens spelled so that the tokenizer knows them."""
        return self.pattern.sub(lambda found: self.aliases[found[0]], text)

    def from_aliases(self, text: str) -> str:
        """The aliases in `text` as the checkpoint spells them."""
        for control, alias in self.aliases.items():
            text = text.replace(alias, control)
        return text


def find_control_tokens(spec: Spec, template: str, markers: Iterable[str]) -> ControlTokens:
    """The control tokens of a tokenizer: its special tokens, those of `markers` that it knows, and added tokens that the
    chat template writes. Runs of white space are text, whatever a checkpoint calls them."""
    added: list[dict[str, Any]] = spec["added_tokens"]
    known = frozenset(markers)
    names = {t["content"] for t in added if t["special"] or t["content"] in known or t["content"] in template}
    names = {name for name in names if name.strip()}
    aliases = {name: _new_alias() for name in names}
    longest_first = sorted(names, key=len, reverse=True)
    edges = {edge for name in names for edge in (name.strip()[0], name.strip()[-1])}
    return ControlTokens(
        aliases=aliases,
        pattern=re.compile("|".join(map(re.escape, longest_first)) or "(?!)"),
        edge_characters=re.compile(f"[{re.escape(''.join(sorted(edges)))}]" if edges else "(?!)"),
    )


def alias_spec(spec: Spec, aliases: Mapping[str, str]) -> Spec:
    """tokenizer.json with the aliases in its added tokens, vocabulary and unknown token. Ids stay. Merges that would spell a
    control token from text go."""
    model: dict[str, Any] = {**spec["model"], "vocab": _alias_vocab(spec["model"]["vocab"], aliases)}
    if (unknown := model.get("unk_token")) is not None:
        model["unk_token"] = aliases.get(unknown, unknown)
    if merges := model.get("merges"):
        model["merges"] = [pair for pair in merges if _merged_token(pair) not in aliases]
    added = [{**token, "content": aliases.get(token["content"], token["content"])} for token in spec["added_tokens"]]
    return {**spec, "model": model, "added_tokens": added}


def unused_character(texts: Iterable[str]) -> str:
    """A character that occurs in none of `texts`. Raises NoMark."""
    used = set[str]().union(*texts)
    for code in ESCAPE_CHARACTERS:
        if (mark := chr(code)) not in used:
            return mark
    raise NoUnusedCharacter("the messages use every private-use character of plane 15")


def _is_template_word(value: Any) -> bool:
    """Whether it is one of the words, or a list of some."""
    return all(
        isinstance(word, str) and word in TEMPLATE_WORDS for word in (cast(list[Any], value) if isinstance(value, list) else [value])
    )


def all_strings(given: Any) -> Iterator[str]:
    """All strings in it, keys too."""
    match given:
        case str():
            yield given
        case Mapping():
            for key, value in cast(Mapping[str, Any], given).items():
                yield key
                yield from all_strings(value)
        case list() | tuple():
            for part in cast(Sequence[Any], given):
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
