"""E-mail: the header decoded, one of alternatives, attachments under their names."""

import email.policy
from email.message import EmailMessage

import pytest

from tests.retrieval import samples
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks

HEADER = (
    "From: =?UTF-8?B?SsO8cmdlbiBHcm/Dnw==?= <j@example.org>\r\nTo: kern@example.org\r\n"
    "Subject: =?UTF-8?Q?Lieferung_Ihrer_Bestellung_=C3=BCber_Nacht?=\r\nDate: Fri, 08 May 2026 09:12:00 +0200\r\nMIME-Version: 1.0\r\n"
)


def message(**headers: str) -> EmailMessage:
    made = EmailMessage(policy=email.policy.SMTP)
    for name, value in {"From": "Jürgen Groß <j@example.org>", "To": "kern@example.org", "Subject": "Über Nacht", **headers}.items():
        made[name] = value
    return made


def test_header_and_body_are_decoded_and_attachments_are_named() -> None:
    made = message(Date="Fri, 08 May 2026 09:12:00 +0200")
    made.set_content("Sehr geehrte Frau Kern,\nIhre Bestellung 4471 wird am 9. Mai geliefert.\nGrüße", cte="base64")
    made.add_attachment(bytes(range(256)), maintype="application", subtype="octet-stream", filename="größe.bin")
    read = parsed(made.as_bytes(), "mail.eml")
    assert read.title == "Über Nacht" and read.media_type == "message/rfc822"
    assert blocks(read) == [
        (
            "list",
            "From: Jürgen Groß <j@example.org>\nTo: kern@example.org\nDate: Fri, 08 May 2026 09:12:00 +0200\nSubject: Über Nacht\n"
            "Attachments: größe.bin",
        ),
        ("paragraph", "Sehr geehrte Frau Kern,\nIhre Bestellung 4471 wird am 9. Mai geliefert.\nGrüße"),
    ]
    assert read.notes == ("größe.bin was left out: nothing here reads files like this one (.bin): it is not text",)


def test_attachments_are_read_under_their_names() -> None:
    made = message()
    made.set_content("See the handbook.")
    made.add_attachment(samples.word(), maintype="application", subtype="octet-stream", filename="handbook.docx")
    made.add_attachment("a,b\n1,2\n", subtype="csv", filename="=?utf-8?B?w7xiZXIuY3N2?=")
    read = parsed(made.as_bytes(), "mail.eml")
    inside = [block.headings for block in read.blocks if "30 days" in read.text[block.start : block.end]]
    assert inside == [("handbook.docx", "Handbook", "Holidays")] or inside[0][0] == "handbook.docx"
    assert "über.csv" in read.text and "a: 1; b: 2" in read.text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n5\x9610 \x80", "5–10 €"),
        (b"Content-Type: text/plain; charset=gb2312\r\nContent-Transfer-Encoding: base64\r\n\r\n6UY=", "镕"),
        (b"Content-Type: text/plain; charset=unknown-8bit\r\n\r\nGr\xf6\xdfe der \xd6fen", "Größe der Öfen"),
        (b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + "Größe".encode(), "Größe"),
        (
            b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>10<sup>6</sup> =E2=82=AC</p>",
            "10⁶ €",
        ),
        (b"Content-Type: text/plain; format=flowed\r\n\r\nOne line \r\ngoes on.\r\n\r\n> Quoted.", "One line goes on.\n\n> Quoted."),
        (b"\r\nNo type.", "No type."),
    ],
)
def test_bodies(body: bytes, text: str) -> None:
    assert parsed(HEADER.encode() + body, "a.eml").text.endswith(f"Subject: Lieferung Ihrer Bestellung über Nacht\n\n{text}")


def test_headers_that_break_the_rules() -> None:
    raw = b"From: J\xfcrgen <j@x.example>\r\nTo: =?bogus?Q?x?= <k@x.example>\r\nSubject: =?utf-8?B?w7x?= \xc3\xbc =?iso-8859-1?Q?=96?=\r\n"
    read = parsed(raw + b"\r\nText", "a.eml")
    assert "From: Jürgen <j@x.example>" in read.text and "k@x.example" in read.text and read.text.endswith("Text")


def test_of_alternatives_one_is_read() -> None:
    made = message()
    made.set_content("The price is 90 euros, payable within a month of delivery.")
    made.add_alternative("<p>The price is <b>90</b> euros, payable within a month of delivery.</p>", subtype="html")
    assert parsed(made.as_bytes(), "a.eml").text.count("90") == 1
    made = message()
    made.set_content("View this in a browser.")
    made.add_alternative(
        f"<html><body><table><tr><th>Item<th>Price<tr><td>Anchor<td>90</table>{'<p>Words here.</p>' * 9}</body></html>", subtype="html"
    )
    assert "| Anchor | 90 |" in parsed(made.as_bytes(), "a.eml").text


def test_messages_within_messages() -> None:
    inner = message(Subject="Old news")
    inner.set_content("It was 5 %.")
    outer = message(Subject="Fwd")
    outer.set_content("See below.")
    outer.add_attachment(inner)
    read = parsed(outer.as_bytes(), "a.eml")
    assert [block.headings for block in read.blocks if "5 %" in read.text[block.start : block.end]] == [("Old news",)]
    for _ in range(9):
        outer, inner = message(Subject="Again"), outer
        outer.set_content("Outer.")
        outer.add_attachment(inner)
    assert any("nested" in note for note in parsed(outer.as_bytes(), "a.eml").notes)


def test_a_mailbox_of_messages() -> None:
    texts = [f"From j@x Fri May  8 09:12:00 2026\nSubject: Note {i}\n\nNumber {i}.\n>From here on.\n\n" for i in (1, 2, 3)]
    read = parsed("".join(texts), "a.mbox")
    assert [block.headings for block in read.blocks if block.kind == "paragraph"] == [("Note 1",), ("Note 2",), ("Note 3",)]
    assert "Number 2.\nFrom here on." in read.text


def test_a_saved_page() -> None:
    head = "From: <Saved by Blink>\nSnapshot-Content-Location: https://x.example\nSubject: Page\nMIME-Version: 1.0\n"
    page = "--b\nContent-Type: text/html\n\n<p>Words</p>\n--b\nContent-Type: text/css\n\np{}\n--b--\n"
    assert parsed(f"{head}Content-Type: multipart/related; boundary=b\n\n{page}", "a.mhtml").text == "Words"


def test_a_message_without_an_ending_in_its_name() -> None:
    assert parsed(HEADER + "\r\nText", "message").media_type == "message/rfc822"
    assert parsed("Name: x\nPlace: y\nDate: 3\n\nText", "notes").media_type == "text/plain"
