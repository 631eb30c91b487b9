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

PLANE_15 = range(0xF0000, 0xFFFFE)  # private use: marks
PLANE_16 = range(0x100000, 0x10FFFE)  # private use: aliases
ALIAS_LENGTH = 6  # characters of 16 bits: 96 bits that nobody can guess

STEERING = frozenset({"role", "type"})  # keys whose values templates compare
TALK = "role content name tool_calls tool_call_id reasoning_content id function arguments user assistant system tool"
SCHEMA = "type properties required items enum const default anyOf oneOf allOf additionalProperties parameters description title format"
TYPES = "string number integer boolean object array null"
WORDS = frozenset(f"{TALK} {SCHEMA} {TYPES}".split(" "))  # that templates look for; none of them steers a model
Spec = dict[str, Any]  # tokenizer.json, parsed


class NoUnusedCharacter(ValueError):
    """Every character that could serve as a mark occurs in the request."""


@dataclass(frozen=True)
class ControlTokens:
    aliases: Mapping[str, str]  # control token as templates write it -> alias
    spelling: re.Pattern[str]
    edges: re.Pattern[str]  # characters that a control token begins or ends with

    def guard(self, text: str, mark: str) -> str:
        """`text` such that no control token in it, or built with it, survives `arm`. White space at its ends stays there, as
        templates trim."""
        core = text.strip()
        start = text.index(core)
        marked = self.edges.sub(lambda found: f"{mark}{found[0]}{mark}", core)
        if core and any(core in control for control in self.aliases):  # '<|' + core + '|>' would make one
            marked = f"{mark}{marked}{mark}"
        return text[:start] + marked + text[start + len(core) :]

    def guarded(self, given: Mapping[str, Any], mark: str) -> dict[str, Any]:
        """A message, a tool or a template's variables with all their strings guarded, names of properties too; but not the words
        that templates look for."""
        return {self._key(k, mark): v if k in STEERING and _known(v) else self._any(v, mark) for k, v in given.items()}

    def _any(self, given: Any, mark: str) -> Any:
        match given:
            case str():
                return self.guard(given, mark)
            case Mapping():
                return self.guarded(cast(Mapping[str, Any], given), mark)
            case list() | tuple():
                return [self._any(part, mark) for part in cast(Sequence[Any], given)]
            case _:
                return given

    def _key(self, key: str, mark: str) -> str:
        return key if key in WORDS else self.guard(key, mark)

    def arm(self, text: str) -> str:
        """`text` with its control tokens spelled so that the tokenizer knows them."""
        return self.spelling.sub(lambda found: self.aliases[found[0]], text)

    def disarm(self, text: str) -> str:
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
    aliases = {name: _alias() for name in names}
    longest_first = sorted(names, key=len, reverse=True)
    edges = {edge for name in names for edge in (name.strip()[0], name.strip()[-1])}
    return ControlTokens(
        aliases=aliases,
        spelling=re.compile("|".join(map(re.escape, longest_first)) or "(?!)"),
        edges=re.compile(f"[{re.escape(''.join(sorted(edges)))}]" if edges else "(?!)"),
    )


def respell(spec: Spec, aliases: Mapping[str, str]) -> Spec:
    """tokenizer.json with the aliases in its added tokens, vocabulary and unknown token. Ids stay. Merges that would spell a
    control token from text go."""
    model: dict[str, Any] = {**spec["model"], "vocab": _respelled(spec["model"]["vocab"], aliases)}
    if (unknown := model.get("unk_token")) is not None:
        model["unk_token"] = aliases.get(unknown, unknown)
    if merges := model.get("merges"):
        model["merges"] = [pair for pair in merges if _joined(pair) not in aliases]
    added = [{**token, "content": aliases.get(token["content"], token["content"])} for token in spec["added_tokens"]]
    return {**spec, "model": model, "added_tokens": added}


def unused_character(texts: Iterable[str]) -> str:
    """A character that occurs in none of `texts`. Raises NoMark."""
    used = set[str]().union(*texts)
    for code in PLANE_15:
        if (mark := chr(code)) not in used:
            return mark
    raise NoUnusedCharacter("the messages use every private-use character of plane 15")


def _known(value: Any) -> bool:
    """Whether it is one of the words, or a list of some."""
    return all(isinstance(word, str) and word in WORDS for word in (cast(list[Any], value) if isinstance(value, list) else [value]))


def strings(given: Any) -> Iterator[str]:
    """All strings in it, keys too."""
    match given:
        case str():
            yield given
        case Mapping():
            for key, value in cast(Mapping[str, Any], given).items():
                yield key
                yield from strings(value)
        case list() | tuple():
            for part in cast(Sequence[Any], given):
                yield from strings(part)
        case _:
            pass


def _alias() -> str:
    return "".join(chr(PLANE_16[secrets.randbelow(len(PLANE_16))]) for _ in range(ALIAS_LENGTH))


def _respelled(vocab: dict[str, int] | list[tuple[str, float]], aliases: Mapping[str, str]) -> Any:
    if isinstance(vocab, list):  # Unigram: (token, score) in the order of ids
        return [(aliases.get(token, token), score) for token, score in vocab]
    return {aliases.get(token, token): number for token, number in vocab.items()}


def _joined(pair: str | list[str]) -> str:
    return pair.replace(" ", "", 1) if isinstance(pair, str) else "".join(pair)
