"""Compares colours of office files, to tell whether text is visible on its background."""

TOLERANCE = 16  # of 255, per channel: colours that differ by less look the same
WHITE = "ffffff"
UNKNOWN = "?"  # a colour that cannot be determined: text on it counts as visible


def parse_colour(value: str) -> str:
    """Six hexadecimal digits, or UNKNOWN."""
    digits = value.lower()
    return digits if len(digits) == 6 and not set(digits) - set("0123456789abcdef") else UNKNOWN


def look_alike(one: str, other: str) -> bool:
    if UNKNOWN in (one, other):
        return False
    pairs = zip(bytes.fromhex(one), bytes.fromhex(other), strict=True)
    return all(abs(a - b) < TOLERANCE for a, b in pairs)
