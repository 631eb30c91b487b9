"""Old encodings, which no file names: languages by encodings by lengths."""

import codecs

import pytest

from retrieval.parse.common.decode import decode
from tests.retrieval.languages import TEXTS

SHORT, LONG = 140, 3_000
CASES = [(name, encoding) for name, (encodings, _) in TEXTS.items() for encoding in encodings]


def _of_length(name: str, length: int) -> str:
    text = TEXTS[name][1]
    return (text * (length // len(text) + 1))[:length]


@pytest.mark.parametrize("length", [SHORT, LONG])
@pytest.mark.parametrize(("name", "encoding"), CASES)
def test_old_encodings_are_read_rightly(name: str, encoding: str, length: int) -> None:
    text = _of_length(name, length).replace("’", "'" if encoding.startswith("iso") else "’")
    data = text.encode(encoding, "ignore")
    assert decode(data) == data.decode(encoding)


@pytest.mark.parametrize("name", ["English", "Polish", "Japanese"])
@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8])
def test_a_byte_order_mark_decides(name: str, mark: bytes) -> None:
    encoding = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF8: "utf-8"}[mark]
    assert decode(mark + TEXTS[name][1].encode(encoding)) == TEXTS[name][1]


@pytest.mark.parametrize("word", ["Não há", "året", "company’s … “everything”", "déjà vu", "30 °C, 5 m², ©2020"])
def test_a_few_words_are_western(word: str) -> None:
    assert decode(word.encode("cp1252")) == word


def test_words_of_another_script_among_english_ones_are_read_as_such() -> None:
    comment = _of_length("Russian", 600)
    text = f"def main(arguments):\n    return run(arguments)\n\n# {comment}\n" * 5
    assert decode(text.encode("cp1251")) == text
