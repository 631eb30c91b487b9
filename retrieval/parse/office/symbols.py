"""Characters of symbol fonts, which office files store as numbers of the font instead of as Unicode."""

# Adobe's Symbol encoding from 0x20, and from 0xA0; a space where there is no character
_SYMBOL_LOW = " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼"
_SYMBOL_HIGH = "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪ 〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭"
_SYMBOL = {0x20 + at: sign for at, sign in enumerate(_SYMBOL_LOW)} | {0xA0 + at: sign for at, sign in enumerate(_SYMBOL_HIGH)}
_WINGDINGS = {
    0x22: "✂", 0x28: "☎", 0x2A: "✉", 0x3C: "💾", 0x4A: "☺", 0x4C: "☹", 0x6C: "●", 0x6E: "■", 0x6F: "☐", 0x71: "❑", 0x72: "❒",
    0x76: "❖", 0x78: "☒", 0xA7: "▪", 0xA8: "☐", 0xD8: "➢", 0xDF: "←", 0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xF0: "⇨",
    0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑",
}  # fmt: skip
_WINGDINGS_2 = {0x50: "✓", 0x4F: "✗", 0x51: "☒", 0x52: "☑", 0x54: "☒", 0xA3: "☐"}
_FONTS = {"symbol": _SYMBOL, "wingdings": _WINGDINGS, "wingdings 2": _WINGDINGS_2}
PRIVATE_USE = 0xF000  # added to the font's number


def symbol(font: str, code: int) -> str:
    """The character of this number in the font; "" if the font or its character is not known."""
    number = code - PRIVATE_USE if PRIVATE_USE <= code < PRIVATE_USE + 0x100 else code
    table = _FONTS.get(font.lower())
    if table is None:
        return "" if code >= PRIVATE_USE and code < PRIVATE_USE + 0x1000 else chr(code) if 0x20 <= code < 0xD800 else ""
    return table.get(number, "")


def translated(text: str, font: str) -> str:
    """Text of a run in that font: characters in the private use area are the font's own."""
    if not any(PRIVATE_USE <= ord(sign) < PRIVATE_USE + 0x100 for sign in text) or font.lower() not in _FONTS:
        return text
    return "".join(symbol(font, ord(sign)) if ord(sign) >= PRIVATE_USE else sign for sign in text)
