"""Which encoding of one byte a letter a text in Latin letters has: the one in which its accented letters are those of one language."""

import re

# The likeliest comes first: it wins where others fit as well. Each text holds the letters beyond a-z of one language or of kin.
WESTERN = "cp1252"
ALPHABETS = (
    (WESTERN, ("áâãàçéêíóôõúü", "áéíñóúü", "àâæçéèêëîïôœùûüÿ", "àèéìíîòóùú", "äöüßé", "åäöæøéü", "éëïèêáóöü", "àçèéíïòóúü")),
    (WESTERN, ("áðéíóúýþæö", "áðíóúýæø", "äõöüšž")),
    ("cp1250", ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž")),
    ("iso8859_2", ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž")),
    ("cp1254", ("âçğıİi̇îöşüû",)),
    ("cp1257", ("ąčęėįšųūž", "āčēģīķļņšūž")),
)
MIXED = "áâãàåäæçéèêëíîìïñóôòõöøœúùûüÿß"  # Western letters of any language
MIXED_WORTH = 0.9  # names of many countries in one text: less likely than a text in one language
MIN_FIT = 0.85
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_ADJACENT_NON_ASCII = re.compile(rb"[\x80-\x9f\xa1-\xff]{2,}")  # but for the space that does not break
_IGNORED = "’–—…·\u00a0\u00ad-"  # stand between letters in any text
_NON_ASCII_CHARACTER = re.compile(r"[^\x00-\x7f]")


def encoding_of(data: bytes) -> str | None:
    """None: it is no text in Latin letters, or in none of these encodings."""
    accented = len(_NON_ASCII.findall(data))
    if not accented or sum(map(len, _ADJACENT_NON_ASCII.findall(data))) * 2 > accented:
        return None  # accents stand apart; other scripts are nothing but such bytes
    fits = [(_fit(data, encoding, sets), encoding) for encoding, sets in ALPHABETS]
    fits.append((_fit(data, WESTERN, (MIXED,)) * MIXED_WORTH, WESTERN))
    fit, encoding = max(fits, key=lambda one: one[0])  # the first of the best
    return encoding if fit >= MIN_FIT else None


def _fit(data: bytes, encoding: str, alphabets: tuple[str, ...]) -> float:
    """The share of the letters beyond ASCII, and of what stands as one, that one alphabet has. 1 if there is none."""
    text = data.decode(encoding, "replace")
    used = [sign[0].lower() for sign in _NON_ASCII_CHARACTER.finditer(text) if _counts_as_letter(text, sign.start())]
    return max(sum(letter in letters for letter in used) for letters in alphabets) / len(used) if used else 1.0


def _counts_as_letter(text: str, at: int) -> bool:
    """A letter, or a sign within a word; what the encoding does not know counts as one."""
    sign = text[at]
    if sign.isalpha() and sign not in "ªº":
        return True
    if sign in _IGNORED:
        return False
    return not sign.isprintable() or sign == "\ufffd" or (text[at - 1 : at].isalpha() and text[at + 1 : at + 2].isalpha())
