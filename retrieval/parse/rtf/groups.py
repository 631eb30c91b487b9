"""What the control words of an RTF file set until the closing brace of their group."""

from dataclasses import dataclass, replace
from typing import Any

from retrieval.parse.rtf.tables_of_file import FileTables


@dataclass(frozen=True, slots=True)
class Group:
    """What holds until the closing brace. `uc`: number of characters after \\u for readers that do not know it."""

    codec: str
    destination: str = ""  # "": the text
    uc: int = 1
    symbols: bool = False
    hidden: bool = False
    deleted: bool = False
    white: bool = False
    shaded: bool = False
    mark: str = ""  # super, sub, strike
    result_start: int = -1  # run at which the result of a field begins
    footer: bool = False  # and no header, where the destination is a margin
    note: bool = False  # a footnote, which stands in brackets


def formatted(group: Group, name: str, number: int | None, tables: FileTables) -> Group:
    """After a control word for characters; other words change nothing."""
    changes = _font(name, number or 0, tables) if name in ("f", "cf") else _changes(name, number)
    if name == "plain":
        changes = {"codec": tables.codec, "symbols": False, "hidden": False, "deleted": False, "white": False, "mark": ""}
    return replace(group, **changes) if changes else group


def _font(name: str, number: int, tables: FileTables) -> dict[str, Any]:
    if name == "cf":
        return {"white": number in tables.white}
    return {"codec": tables.fonts.get(number, tables.codec), "symbols": number in tables.symbols}


def _changes(name: str, number: int | None) -> dict[str, Any]:
    """Of words whose number 0 ends what they begin."""
    on = number != 0
    match name:
        case "uc":
            return {"uc": number or 0}
        case "v":
            return {"hidden": on}
        case "deleted":
            return {"deleted": on}
        case "cb" | "chcbpat" | "highlight" | "cbpat" | "clcbpat":
            return {"shaded": bool(number)}
        case "super" | "sub":
            return {"mark": name if on else ""}
        case "up" | "dn":
            return {"mark": {"up": "super", "dn": "sub"}[name] if number else ""}
        case "strike" | "striked":
            return {"mark": "strike" if on else ""}
        case "nosupersub":
            return {"mark": ""}
        case _:
            return {}
