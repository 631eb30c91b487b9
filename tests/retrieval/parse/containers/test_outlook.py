"""Messages saved by Outlook: header, body, attachments, messages within; formatted text in its compressed form."""

import pytest

from retrieval.parse.containers.rtf_compression import decompressed
from tests.packed import document
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks

NOTE = document("note.msg")
# MS-OXRTFCP, section 3.1
SIMPLE = "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
CROSSING = "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0"


def test_message() -> None:
    made = parsed(NOTE, "note.msg")
    assert made.title == "Lieferung über Nacht" and made.media_type == "application/vnd.ms-outlook"
    assert blocks(made) == [
        (
            "list",
            "From: Jürgen Groß <j@example.org>\nTo: Ida Kern <kern@example.org>\nCc: Copy <cc@example.org>\nDate: 2026-05-08 07:12:00 UTC\n"
            "Subject: Lieferung über Nacht\nAttachments: größe.csv, a.bin, Old news.msg",
        ),
        ("paragraph", "Sehr geehrte Frau Kern,\nIhre Bestellung 4471 wird am 9. Mai geliefert.\nGrüße"),
        ("heading", "größe.csv"),
        ("table", "item: Anker; price: 90; stock: 2\nitem: Kette; price: 8; stock: 3"),
        ("heading", "Old news.msg"),
        ("list", "Subject: Old news"),
        ("paragraph", "It was 5 %."),
    ]
    assert made.blocks[-1].headings == ("Old news.msg",)
    assert made.notes == ("a.bin was left out: nothing here reads files like this one (.bin): it is not text",)
    assert parsed(NOTE, "note").media_type == made.media_type


@pytest.mark.parametrize("cut", [600, 3_000, 10_000, 17_000])
def test_damaged_messages_end_in_a_reason(cut: int) -> None:
    try:
        parsed(NOTE[:cut], "note.msg")
    except Exception as error:
        assert type(error).__name__ == "ParseError"


def test_compressed_rtf() -> None:
    assert decompressed(bytes.fromhex(SIMPLE)) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert decompressed(bytes.fromhex(CROSSING)) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"
    assert decompressed(bytes(8) + b"MELA" + bytes(4) + b"{\\rtf1}") == b""
    with pytest.raises(ValueError, match="no compressed RTF"):
        decompressed(b"{\\rtf1}")
