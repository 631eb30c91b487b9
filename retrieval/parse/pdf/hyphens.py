"""Rejoins words divided at the end of a line. PDF does not say whether the hyphen belongs to the word: well-known, administration."""

import re
from collections.abc import Sequence

from retrieval.parse.pdf.page.lines import HYPHEN

# A suspended hyphen stands for a part that follows later: "pre- and postwar", "Vor- und Nachteile"
_CONJUNCTIONS = frozenset(["and", "or", "to", "und", "oder", "bzw", "y", "o", "e", "et", "ou", "i", "en", "of", "och", "og"])
# English parts that form compounds with a hyphen
_FIRST_WORDS = """
    all best better brand broad close cost cross cutting double easy ever far fast first five follow four free full good half hard
    high highly ill knowledge labor labour large least left light long low many mid middle multi near new nine non old one open part
    peer pre price public purpose quick ready real right risk second seven short single six slow small so soft state strong ten tax
    third three time top trade two user very wage water well wide world year zero
"""
_SECOND_WORDS = """
    aged art based being brand built called centred centered class colour color coloured colored conscious core cost cut date day
    defined dependent described designed dimensional documented driven earned edge effective efficient energy established ever fact
    faced fit flight founded free friendly frequency going grade grained growing haul head heeled hour income informed intensive in
    kept kilometre known lasting length level line lived looking made making maintained mannered minded minute month new off old on
    one order oriented out paced paid party performance person placed point power prepared pressure priced profile profit proof
    purpose quality quarter quarters range ranging read related relevant renowned resistant resolution risk run running saving scale
    season seller selling share sided sighted size sized skilled specific speed spirited spread standing star state step storey
    story style suited sum sustaining tailed tech temperature term test tested thinking third thirds thought tier time timed to
    tolerant trained up value volume voltage wage way week weight wide width winning work working written year yield
"""
# These follow a hyphen after almost any word
_ALWAYS_SECOND = frozenset(["aware", "based", "called", "driven", "effective", "friendly", "oriented", "related", "specific"])
_FIRST, _SECOND = frozenset(_FIRST_WORDS.split()), frozenset(_SECOND_WORDS.split())
_NEVER_AFTER_SELF = ("ie", "ish", "less", "same", "hood")
_DIVIDED = re.compile(rf"(?P<first>[\w'’-]*){HYPHEN}(?:\s*(?P<second>\w[\w'’-]*))?")


def vocabulary(texts: Sequence[str]) -> frozenset[str]:
    """Words of a document that are not divided, in lower case and perhaps with punctuation. Empty if none is: then nobody needs it."""
    if not any(HYPHEN in text for text in texts):
        return frozenset()
    found: set[str] = set()
    for text in texts:
        found.update(text.casefold().split())
    return frozenset(found)


def rejoined(text: str, known: frozenset[str]) -> str:
    """Text whose lines are joined with white space, without hyphen markers. `known`: words of the document."""
    return _DIVIDED.sub(lambda match: _joined(match["first"], match["second"] or "", known), text) if HYPHEN in text else text


def _joined(first: str, second: str, known: frozenset[str]) -> str:
    if not second:
        return f"{first}-"
    if second in _CONJUNCTIONS:
        return f"{first}- {second}"
    return f"{first}-{second}" if _keeps_hyphen(first, second, known) else first + second


def _keeps_hyphen(first: str, second: str, known: frozenset[str]) -> bool:
    if not second[:1].islower() or "-" in first or not first[:1].isalpha():  # names, numbers, state-of-the-art
        return True
    first, whole = first.casefold(), second.casefold()
    if _occurs(first + whole, known):
        return False
    return _occurs(f"{first}-{whole}", known) or _is_compound(first, whole.partition("-")[0])


def _occurs(word: str, known: frozenset[str]) -> bool:
    return word in known or f"{word}," in known or f"{word}." in known


def _is_compound(first: str, second: str) -> bool:
    if first == "self":
        return not second.startswith(_NEVER_AFTER_SELF)
    if (first == "well" and second.endswith("ed")) or (first == "non" and len(second) > 5):
        return True
    return (second in _ALWAYS_SECOND and len(first) > 2) or (first in _FIRST and second in _SECOND)
