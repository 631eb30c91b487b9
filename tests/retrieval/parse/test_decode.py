"""Old encodings, which no file names: languages by encodings by lengths."""

import codecs
import struct

import pytest

from retrieval.parse.common.decoding.decode import decode
from retrieval.parse.common.decoding.detect import Encoding, detect
from retrieval.parse.common.decoding.labels import codec_of
from tests.retrieval import samples
from tests.retrieval.languages import TEXTS
from tests.retrieval.parse.test_formats import parsed

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
    assert decode(data).text == data.decode(encoding)


@pytest.mark.parametrize("name", ["English", "Polish", "Japanese"])
@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8])
def test_a_byte_order_mark_decides(name: str, mark: bytes) -> None:
    encoding = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF8: "utf-8"}[mark]
    assert decode(mark + TEXTS[name][1].encode(encoding)).text == TEXTS[name][1]


@pytest.mark.parametrize(
    "word",
    [
        "Não há",
        "året",
        "company’s … “everything”",
        "déjà vu",
        "30 °C, 5 m², ©2020",
        "10 °C ± 2 µm",
        "£5",
        "naïve",
        "½",
        "Ærø",
        "MÜNCHEN",
        "5 €",
    ],
)
def test_a_few_words_are_western(word: str) -> None:
    assert decode(word.encode("cp1252")).text == word


@pytest.mark.parametrize(
    ("word", "encoding"),
    [
        ("Договор", "cp1251"),
        ("Привет", "koi8_r"),
        ("返品", "cp932"),
        ("東京", "euc_jp"),
        ("가격표", "cp949"),
        ("Τιμή", "cp1253"),
        ("שלום", "cp1255"),
        ("Łódź", "cp1250"),
        ("Dvořák", "cp1250"),
    ],
)
def test_a_few_words_of_other_languages(word: str, encoding: str) -> None:
    assert decode(word.encode(encoding)).text == word


def test_words_of_another_script_among_english_ones_are_read_as_such() -> None:
    comment = _of_length("Russian", 600)
    text = f"def main(arguments):\n    return run(arguments)\n\n# {comment}\n" * 5
    assert decode(text.encode("cp1251")).text == text


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        *((label, "cp1252") for label in ("iso-8859-1", "latin1", "us-ascii", "ISO_8859-1", "l1", "windows-1252", "x-cp1252", "iso88591")),
        *((label, "cp1254") for label in ("iso-8859-9", "latin5", "windows-1254")),
        *((label, "cp932") for label in ("shift_jis", "Shift-JIS", "x-sjis", "windows-31j", "ms_kanji")),
        *((label, "gb18030") for label in ("gb2312", "gbk", "x-gbk", "GB_2312-80", "csGB2312")),
        *((label, "cp949") for label in ("euc-kr", "ks_c_5601-1987", "windows-949", "ksc_5601")),
        *((label, "big5hkscs") for label in ("big5", "x-x-big5", "cn-big5", "big5-hkscs")),
        ("cp850", "cp850"),
        *((label, "cp874") for label in ("tis-620", "iso-8859-11", "windows-874")),
        *((label, "utf-8") for label in ("utf8", "UTF-8", "unicode-1-1-utf-8", "x-unicode20utf8")),
        *((label, None) for label in ("rot13", "zlib", "hex", "", "no such", "a" * 40, "\0")),
    ],
)
def test_labels_mean_what_browsers_take_them_for(label: str, codec: str | None) -> None:
    found = codec_of(label)
    assert (codecs.lookup(found).name if found else None) == (codecs.lookup(codec).name if codec else None)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (b"<meta charset=iso-8859-1>5\x9610 \x80, the guide\x92s \x93extra\x94", "5–10 €, the guide’s “extra”"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><p>5\x9610 \x80</p>', "<p>5–10 €</p>"),
        (b"<meta charset=shift_jis>\x87\x40 \xfb\xfc", "① 髙"),  # cp932 beyond JIS
        (b"<meta charset=gb2312>\xe9F", "镕"),  # in GBK, not in GB 2312
        (b"<meta charset=euc-kr>\x8cc\xb9\xe6", "똠방"),
        (b"<!-- <meta charset=koi8-r> --><meta charset=windows-1251>\xcb\xe5\xe2", "Лев"),
        (b"<script charset=koi8-r></script><meta charset=windows-1251>\xcb\xe5\xe2", "Лев"),
        (b'<meta http-equiv="content-type" content="text/html; charset=utf-16">' + "Größe".encode(), "Größe"),
        (b"<meta charset=iso-8859-1>" + "Größe".encode(), "Größe"),  # the label is wrong
        (b"<meta charset=utf-8>Gr\xf6\xdfe der \xd6fen", "Größe der Öfen"),  # the label is wrong
        (b"<meta charset=utf-8>" + "Größe der Öfen für Ämter".encode() + b" caf\xe9", "Größe der Öfen für Ämter caf\ufffd"),
        (b"<meta charset=euc-jp>" + "東京の倉庫は八時に".encode("euc_jp") + b"\xff!", "東京の倉庫は八時に\ufffd!"),
    ],
)
def test_declared_encodings(page: bytes, text: str) -> None:
    assert decode(page, declared=True).text.endswith(text)


GERMAN = "# Größenübersicht\nDie Prüfgröße für Öfen beträgt 44 Grad.\n{}\nÄrger vermeiden: Schlüssel übergeben.\n"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (b"caf\xe9 menu", "café menu"),
        ("Größe \x93alt\x94".encode("latin-1"), "Größe “alt”"),
        ("Größe ".encode() + b"caf\xe9", "Größe caf\ufffd"),
        ("返品は七日".encode("cp932"), "返品は七日"),
    ],
)
def test_a_few_wrong_bytes_do_not_spoil_utf_8(wrong: bytes, right: str) -> None:
    before, after = GERMAN.split("{}")
    decoded = decode(before.encode() + wrong + after.encode())
    assert decoded.text == GERMAN.format(right)
    assert decoded.note


def test_utf_8_cut_off_within_a_character_stays_utf_8() -> None:
    data = "Größe für Öfen".encode()
    assert decode(data[:-1] + b"\xc3").text.endswith("\ufffd")
    assert decode(data * 9 + b"\n\xe2\x82").text == "Größe für Öfen" * 9 + "\n\ufffd"
    assert decode(b"\x9f" + data * 9).text == "\ufffd" + "Größe für Öfen" * 9
    assert detect(data * 9 + b"\xe2\x82", complete=False) == Encoding("utf-8")


@pytest.mark.parametrize(
    ("line", "codec"),
    [
        ("301,深型フライパン,2980", "cp932"),
        ("301,深型フライパン,2980\n302,急須,1500", "cp932"),
        ("301,深型フライパン,2980", "euc_jp"),
        ("301,不锈钢平底锅,2980", "gb18030"),
        ("301,不銹鋼平底鍋,2980", "big5hkscs"),
        ("301,스테인리스 프라이팬,2980", "cp949"),
        ("301,Сковорода глубокая,2980", "cp1251"),
        ("301,Größe für Öfen,2980", "cp1252"),
        ("301,Größe für Öfen,2980", "cp850"),
        ("301,Größe für Öfen und Türen,2980", "mac-roman"),
        ("301,価格は税込,2980", "iso2022_jp"),
    ],
)
@pytest.mark.parametrize("rows", [0, 300, 40_000])
def test_the_lines_beyond_ascii_decide_wherever_they_stand(line: str, codec: str, rows: int) -> None:
    head = "".join(f"{row},Frying pan,1980\n" for row in range(rows))
    assert decode(f"{head}{line}\n".encode(codec)).text == f"{head}{line}\n"


@pytest.mark.parametrize(
    "text",
    ["Não há pães à mesa, só maçãs e limões.", "Prøven på øen kræver ånd.", "El niño comió piñas en la montaña.", "Où est le reçu ? 5 €"],
)
def test_short_western_lines(text: str) -> None:
    assert detect(text.encode("cp1252")) == Encoding("cp1252", certain=True)


def test_an_uncertain_guess_is_noted() -> None:
    assert "cp1250" in decode("Łódź".encode("cp1250")).note
    assert not decode("Zażółć gęślą jaźń. Więcej później.".encode("cp1250")).note
    assert not decode("Größe".encode()).note and not decode(b"plain").note


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["English", "Polish", "Russian", "Japanese", "Korean"])
def test_wide_encodings_without_a_mark(codec: str, name: str) -> None:
    text = TEXTS[name][1] + "\n"
    assert decode(text.encode(codec)).text == text
    assert detect(text.encode(codec)[:2049]) == Encoding(codec)


@pytest.mark.parametrize(
    "data",
    [bytes(range(256)) * 20, struct.pack("<500H", *range(0, 65_500, 131)), b"\x7fELF\x02\x01\x01" + bytes(200), b"MZ\x90\0\3\0\0\0\4" * 50],
)
def test_what_is_not_text(data: bytes) -> None:
    assert detect(data) is None


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("iso-8859-1", "cp1252", "5–10 €"),
        ("shift_jis", "cp932", "東京の①"),
        ("windows-1251", "cp1251", "Лев"),
        ("utf-16", "utf-16", "Größe"),
    ],
)
def test_chapters_of_books_are_in_the_encoding_that_they_declare(label: str, codec: str, text: str) -> None:
    chapter = f'<?xml version="1.0" encoding="{label}"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p>{text}</p></body></html>'
    book = samples.replaced(samples.epub(), {"o/one.xhtml": chapter.encode(codec)})
    assert parsed(book, "a.epub").text.startswith(f"{text}\n\n")
