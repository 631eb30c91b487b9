"""Colours of office files, as far as they tell whether letters can be seen on what lies behind them."""

TOLERANCE = 16  # of 255: colours that differ by less are one to the eye
WHITE = "ffffff"
UNKNOWN = "?"  # a colour that is not known here: whatever stands on it is taken to be readable


def parse_colour(value: str) -> str:
    """Six hexadecimal digits, or UNKNOWN."""
    digits = value.lower()
    return digits if len(digits) == 6 and not set(digits) - set("0123456789abcdef") else UNKNOWN


def look_alike(one: str, other: str) -> bool:
    if UNKNOWN in (one, other):
        return False
    pairs = zip(bytes.fromhex(one), bytes.fromhex(other), strict=True)
    return all(abs(a - b) < TOLERANCE for a, b in pairs)
