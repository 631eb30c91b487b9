"""Headers and footers of printed pages."""

import re

MAX_WORDS = 30  # characters
_PAGE_NUMBER = re.compile(r"\W*(?:[^\W\d]+\W+){0,2}(?:[^\W\d]+)?\W*")  # "Page of": what is left without the numbers


def is_page_number(text: str) -> bool:
    """Whether a header or footer that holds fields of page numbers, which are left out, says nothing else."""
    return len(text) <= MAX_WORDS and _PAGE_NUMBER.fullmatch(text) is not None
