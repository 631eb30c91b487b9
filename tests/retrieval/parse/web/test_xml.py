"""XML: feeds by entry, texts as text, data by path; entities do no harm."""

import pytest

from retrieval.parse.limits import ParseError
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))
RSS = """<?xml version="1.0" encoding="iso-8859-1"?><rss version="2.0"><channel><title>News</title><description>All news</description>
<item><title>One</title><link>https://x.example/1</link><pubDate>Fri, 08 May 2026</pubDate>
<description>&lt;p&gt;10&lt;sup&gt;6&lt;/sup&gt; \x96 units&lt;/p&gt;</description></item>
<item><title>Two</title><description><![CDATA[<b>Bold</b> text]]></description></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>F</title><entry><title>E1</title><link href="https://x.example/e1"/>
<updated>2026-01-01</updated><content type="xhtml">
<div xmlns="http://www.w3.org/1999/xhtml"><p>A <b>b</b></p></div></content></entry></feed>"""


def test_feeds() -> None:
    made = parsed(RSS.encode("latin-1"), "a.rss")
    assert made.title == "News"
    assert made.text == "News\n\nAll news\n\nOne\n\nDate: Fri, 08 May 2026\nLink: https://x.example/1\n\n10⁶ – units\n\nTwo\n\nBold text"
    assert made.blocks[-1].headings == ("News", "Two")
    assert parsed(ATOM, "a.xml").text == "F\n\nE1\n\nDate: 2026-01-01\nLink: https://x.example/e1\n\nA b"


def test_texts() -> None:
    book = (
        "<article><info><title>Guide</title></info><section><title>Use</title><para>Press the <b>red</b> button.</para>"
        "<programlisting>x = 1\n  y</programlisting></section></article>"
    )
    made = parsed(book, "a.xml")
    assert blocks(made) == [("heading", "Guide"), ("heading", "Use"), ("paragraph", "Press the red button."), ("code", "x = 1\n  y")]
    assert made.blocks[-1].headings == ("Guide", "Use")


def test_data() -> None:
    text = parsed(
        "<shop><book id='b1'><title>Öfen</title><price>12.50</price></book><book id='b2'><title>T</title></book></shop>", "a.xml"
    ).text
    assert text == "shop.book[0].id: b1\nshop.book[0].title: Öfen\nshop.book[0].price: 12.50\nshop.book[1].id: b2\nshop.book[1].title: T"


def test_entities() -> None:
    with pytest.raises(ParseError, match="XML bomb"):
        parsed(f'<!DOCTYPE l [<!ENTITY l0 "ha ha ha ha ">{LAUGHS}]><l>&l8;</l>', "a.xml")
    assert "root:" not in parsed('<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><l><a>one</a><b>&x;</b></l>', "a.xml").text
    assert parsed("<a>not <b>well formed</a>", "a.xml").notes == ("the file is not valid XML and was read as plain text",)
