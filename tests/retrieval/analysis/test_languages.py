"""Which language a text is in."""

import pytest

from retrieval.analysis.terms import text_language
from tests.retrieval.languages import TEXTS

CODES = {
    "Portuguese": "pt",
    "Swedish": "sv",
    "Danish": "da",
    "French": "fr",
    "Italian": "it",
    "German": "de",
    "Spanish": "es",
    "English": "en",
    "Names": "en",
    "Polish": "pl",
    "Czech": "cs",
    "Hungarian": "hu",
    "Turkish": "tr",
    "Russian": "ru",
    "Greek": "el",
    "Japanese": "",
    "Korean": "",
}


@pytest.mark.parametrize("name", CODES)
def test_language(name: str) -> None:
    assert text_language(TEXTS[name][1]) == CODES[name]


@pytest.mark.parametrize("text", ["", "3.5 | 17 | 2026", "Anker; Boje; Kette", "print(x)"])
def test_what_tells_nothing(text: str) -> None:
    assert text_language(text) == ""


def test_a_few_foreign_words_change_nothing() -> None:
    assert text_language("The band was called Los Lobos de la Noche, and it was from the north of the country.") == "en"
