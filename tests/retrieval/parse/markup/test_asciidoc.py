"""AsciiDoc: headings, listings, tables, lists and links."""

import pytest

from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks


def test_structure() -> None:
    source = (
        "= The Guide\nAda L.\n:version: 2.5\n\n== Install\n\nVersion {version} of {unknown}.\n\nNOTE: Keep it dry.\n\n"
        ".Listing\n[source,python]\n"
        "----\ndef f(x): <1>\n    return x\n----\n<1> A function\n\n=== Deep\n\n"
        "====\nExample.\n====\n\n// comment\n////\nblock\n////\n\n literal\n   line\n"
    )
    made = parsed(source, "a.adoc")
    assert made.title == "The Guide"
    assert blocks(made) == [
        ("heading", "The Guide"),
        ("paragraph", "Ada L."),
        ("heading", "Install"),
        ("paragraph", "Version 2.5 of {unknown}."),
        ("paragraph", "NOTE: Keep it dry."),
        ("paragraph", "Listing"),
        ("code", "def f(x):\n    return x"),
        ("list", "1. A function"),
        ("heading", "Deep"),
        ("paragraph", "Example."),
        ("code", " literal\n   line"),
    ]
    assert made.blocks[-1].headings == ("The Guide", "Install", "Deep")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("10^6^ H~2~O *bold* _it_ `code_x` a_b_c", "10⁶ H₂O bold it code_x a_b_c"),
        ("https://x.example/v3.zip[here] link:https://y.example[there,window=_blank]", "here (https://x.example/v3.zip) there (https://y.example)"),
        ("[.line-through]#90# 120.footnote:[Net.]", "~~90~~ 120. (Net.)"),
        ("<<part,the part>> xref:a.adoc[other]", "the part other"),
        ("* one\n** in\n\n* two\n+\nmore", "- one\n  - in\n- two more"),
        (". first\n. second", "1. first\n2. second"),
        ("CPU:: the brain\nRAM::\n  memory", "CPU\n  the brain\n\nRAM\n  memory"),
        ("image::plan.png[Plan of hall]\n\ninclude::/etc/passwd[]", "Plan of hall"),
        ("[cols=\"1,2\",options=\"header\"]\n|===\n|Item |Price\n\n|Anchor\n|90\n|===", "| Item | Price |\n| Anchor | 90 |"),
        ("|===\n|A |B |C\n\n.2+|x |1 |2\n|3 |4\n2+|y |5\n|===", "| A | B | C |\n| x | 1 | 2 |\n| x | 3 | 4 |\n| y | y | 5 |"),
        ("[%header,format=csv]\n|===\na,b\n1,2\n|===", "| a | b |\n| 1 | 2 |"),
    ],
)  # fmt: skip
def test_markup(source: str, text: str) -> None:
    assert parsed(source, "a.adoc").text == text


@pytest.mark.parametrize("mark", ["*a ", "`a ", "http://a[", "[.a]#b ", "footnote:[", "^a"])
def test_a_long_line_of_marks_takes_linear_time(mark: str) -> None:
    """The limit of a file's time would end a quadratic one."""
    assert parsed(mark * 20_000, "a.adoc").text
