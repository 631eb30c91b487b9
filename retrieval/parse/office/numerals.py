"""Counters of lists and headings in the notations of word processors."""

ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"),
         (4, "iv"), (1, "i"))  # fmt: skip
MAX_ROMAN = 4_999
MAX_LETTERS = 780  # Word repeats the letter: 27 is aa, 780 is z thirty times


def letters(number: int) -> str:
    if not 0 < number <= MAX_LETTERS:
        return str(number)
    turns, at = divmod(number - 1, 26)
    return chr(ord("a") + at) * (turns + 1)


def roman(number: int) -> str:
    if not 0 < number <= MAX_ROMAN:
        return str(number)
    result = ""
    for value, sign in ROMAN:
        count, number = divmod(number, value)
        result += sign * count
    return result


def ordinal(number: int) -> str:
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
