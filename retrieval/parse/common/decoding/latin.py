"""Guesses the single-byte encoding of Latin-script text: the one in which its accented letters are those of one language."""

import re

# The likeliest comes first and wins ties. Each string holds the letters beyond a-z of one language or of related ones.
WESTERN = "cp1252"
_WESTERN_ALPHABETS = ("áâãàçéêíóôõúü", "áéíñóúü", "àâæçéèêëîïôœùûüÿ", "àèéìíîòóùú", "äöüßé", "åäöæøéü", "éëïèêáóöü", "àçèéíïòóúü")
ALPHABETS = (
    (WESTERN, _WESTERN_ALPHABETS),
    (WESTERN, ("áðéíóúýþæö", "áðíóúýæø", "äõöüšž")),
    ("cp1250", ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž")),
    ("iso8859_2", ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž")),
    ("cp1254", ("âçğıİi̇îöşüû",)),
    ("cp1257", ("ąčęėįšųūž", "āčēģīķļņšūž")),
    ("cp850", _WESTERN_ALPHABETS),
    ("mac_roman", _WESTERN_ALPHABETS),
)
MIXED = "áâãàåäæçéèêëíîìïñóôòõöøœúùûüÿß"  # Western letters of any language
MIXED_WORTH = 0.9  # factor: a text that mixes languages is less likely than one in a single language
MIN_FIT = 0.85
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_ADJACENT_NON_ASCII = re.compile(rb"[\x80-\x9f\xa1-\xff]{2,}")  # except the no-break space
_IGNORED = "’–—…·\u00a0\u00ad-"  # occur between letters in any text
_UNUSUAL = tuple("[\\]^`{|}~@")
_NON_ASCII_CHARACTER = re.compile(r"[^\x00-\x7f]")


def encoding_of(data: bytes) -> str | None:
    """A codec name. None: pure ASCII, not Latin script, or none of these encodings."""
    accented = len(_NON_ASCII.findall(data))
    if not accented or sum(map(len, _ADJACENT_NON_ASCII.findall(data))) * 2 > accented:
        return None  # accented letters are isolated; in other scripts nearly all bytes are non-ASCII
    fits = [(_fit(data, encoding, sets), encoding) for encoding, sets in ALPHABETS]
    fits.append((_fit(data, WESTERN, (MIXED,)) * MIXED_WORTH, WESTERN))
    fit, encoding = max(fits, key=lambda one: one[0])  # the first of equals
    return encoding if fit >= MIN_FIT else None


def _fit(data: bytes, encoding: str, alphabets: tuple[str, ...]) -> float:
    """The share of the non-ASCII characters counted as letters that are in the best-fitting alphabet. 1 if there are none."""
    text = data.decode(encoding, "replace")
    used = [sign.start() for sign in _NON_ASCII_CHARACTER.finditer(text) if _counts_as_letter(text, sign.start())]
    spelt = [text[at].lower() for at in used if _is_spelt(text[max(at - 1, 0) : at], text[at], text[at + 1 : at + 2])]
    return max(sum(letter in letters for letter in spelt) for letters in alphabets) / len(used) if used else 1.0


def _is_spelt(before: str, letter: str, after: str) -> bool:
    """Whether the neighbours of a letter are as in words: no capital follows a small letter, and no brackets, as the second bytes of East
    Asian characters are, touch it."""
    capital_within = (before.islower() and letter.isupper()) or (letter.islower() and after.isupper())
    return not capital_within and before not in _UNUSUAL and after not in _UNUSUAL


def _counts_as_letter(text: str, at: int) -> bool:
    """Whether it is a letter, a sign inside a word, or undefined in the encoding."""
    sign = text[at]
    if (sign.isalpha() and sign not in "ªºµ") or "\u2500" <= sign <= "\u259f":  # or part of a frame, as in terminals
        return True
    if sign in _IGNORED:
        return False
    return not sign.isprintable() or sign == "\ufffd" or (text[at - 1 : at].isalpha() and text[at + 1 : at + 2].isalpha())
