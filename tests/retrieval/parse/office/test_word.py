"""What a reader of a Word document sees, and nothing that Word does not print."""

import io
from typing import Any

import docx
import pytest
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import qn

from retrieval.api import Document
from tests.retrieval import samples
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks, replaced

NAMES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:v="urn:schemas-microsoft-com:vml"'
)


def body(xml: str, **parts: str) -> Document:
    """A document with this body; `parts` by their names in word/."""
    document = f"<w:document {NAMES}><w:body>{xml}</w:body></w:document>"
    files = {"word/document.xml": document, **{f"word/{name}.xml": content for name, content in parts.items()}}
    return parsed(replaced(samples.word(), files), "a.docx")


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*runs: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{''.join(runs)}</w:p>"


RAISED, LOWERED = '<w:vertAlign w:val="superscript"/>', '<w:vertAlign w:val="subscript"/>'


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ((run("10"), run("6", RAISED), run(" units")), "10⁶ units"),
        ((run("10"), run("-", RAISED), run("12", RAISED)), "10⁻¹²"),
        ((run("H"), run("2", LOWERED), run("O")), "H₂O"),
        ((run("the 1"), run("s", RAISED), run("t", RAISED), run(" day")), "the 1st day"),
        ((run("500"), run("1", '<w:position w:val="8"/><w:sz w:val="14"/>')), "500¹"),
        ((run("now "), run("90", "<w:strike/>"), run(" 120")), "now ~~90~~ 120"),
        ((run("now "), run("90", "<w:dstrike/>"), run(" 120")), "now ~~90~~ 120"),
        ((run("90", '<w:strike w:val="0"/>'),), "90"),
        ((run("40 "), '<w:r><w:sym w:font="Symbol" w:char="F0B0"/></w:r>', run("C")), "40 °C"),
        ((run("\uf061", '<w:rFonts w:ascii="Symbol"/>'),), "α"),
        (("<w:r><w:ruby><w:rt>" + run("とう") + "</w:rt><w:rubyBase>" + run("東") + "</w:rubyBase></w:ruby></w:r>", run("京")), "東京"),
    ],
)
def test_formatting_that_carries_meaning(runs: tuple[str, ...], text: str) -> None:
    assert body(paragraph(*runs)).text == text


def test_a_character_style_raises_too() -> None:
    made: Any = docx.Document()
    line = made.add_paragraph("10")
    line.add_run("6").style = made.styles.add_style("Exponent", 2)
    made.styles["Exponent"].font.superscript = True
    target = io.BytesIO()
    made.save(target)
    assert parsed(target.getvalue(), "a.docx").text == "10⁶"


def test_a_style_without_identifier_is_nobodys_style() -> None:
    made: Any = docx.Document()
    made.add_paragraph("Report of depot 9.")
    nameless = f'<w:style {NAMES} w:type="paragraph"><w:name w:val="EmptyCell"/><w:rPr><w:sz w:val="2"/><w:vanish/></w:rPr></w:style>'
    made.styles.element.append(parse_xml(nameless))
    made.styles.element.append(parse_xml(nameless.replace('w:type="paragraph"', 'w:type="paragraph" w:default="1"')))
    target = io.BytesIO()
    made.save(target)
    read = parsed(target.getvalue(), "a.docx")
    assert read.text == "Report of depot 9." and read.notes == ()


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(run(text))}</w:tc>"


def row(*cells: str, properties: str = "") -> str:
    return f"<w:tr><w:trPr>{properties}</w:trPr>{''.join(cells)}</w:tr>"


def control(inner: str) -> str:
    return f"<w:sdt><w:sdtContent>{inner}</w:sdtContent></w:sdt>"


def table(*rows: str) -> str:
    return f"<w:tbl>{''.join(rows)}</w:tbl>"


def test_merged_cells_of_a_table() -> None:
    head = row(cell("Line"), cell("Start"), cell("End"), cell("Fare"))
    rows = [row(cell(f"L{at}"), cell("a"), cell("b"), cell("1.50")) for at in range(9)]
    rows[2] = row(cell("L2"), cell("Ring line", '<w:gridSpan w:val="2"/>'), cell("5.50"))
    rows[4] = row(cell("L4", '<w:vMerge w:val="restart"/>'), cell("a"), cell("b"), cell("7.50"))
    rows[5] = row(cell("", "<w:vMerge/>"), cell("c"), cell("d"), cell("8.50"))
    rows[6] = row(cell("x"), cell("y"), cell("9.50"), properties='<w:gridBefore w:val="1"/>')
    read = body(table(head, *rows)).text.split("\n")
    assert read[2] == "Line: L2; Start: Ring line; End: Ring line; Fare: 5.50"
    assert read[5] == "Line: L4; Start: c; End: d; Fare: 8.50"
    assert read[6] == "Start: x; End: y; Fare: 9.50"


def test_two_rows_of_column_names() -> None:
    head = [
        row(cell("Month", '<w:vMerge w:val="restart"/>'), cell("North", '<w:gridSpan w:val="2"/>')),
        row(cell("", "<w:vMerge/>"), cell("Sold"), cell("Left")),
    ]
    read = body(table(*head, *(row(cell(f"M{at}"), cell(str(at)), cell("7")) for at in range(9))))
    assert read.text.split("\n")[1] == "Month: M1; North Sold: 1; North Left: 7"


def test_rows_and_cells_in_content_controls() -> None:
    rows = (row(cell("Part"), cell("Code")), control(row(cell("Gasket"), cell("GK-551"))), row(control(cell("Valve")), cell("VL-552")))
    assert body(table(*rows)).text == "| Part | Code |\n| Gasket | GK-551 |\n| Valve | VL-552 |"


def test_tables_in_tables() -> None:
    inner = table(row(cell("Inner 1"), cell("Inner 2")))
    assert "Inner 1; Inner 2" in body(table(row(cell("Outer"), f"<w:tc>{inner}{paragraph()}</w:tc>"))).text
    framed = table(row(f"<w:tc>{paragraph(run('Framed.'))}{inner}{paragraph()}</w:tc>"))
    assert blocks(body(framed)) == [("paragraph", "Framed."), ("table", "| Inner 1 | Inner 2 |")]


def math(inner: str) -> str:
    return f"<m:oMath>{inner}</m:oMath>"


def part(name: str, text: str) -> str:
    return f"<m:{name}><m:r><m:t>{text}</m:t></m:r></m:{name}>"


@pytest.mark.parametrize(
    ("equation", "text"),
    [
        ("<m:r><m:t>A=l·w+12</m:t></m:r>", "A=l·w+12"),
        (f"<m:f>{part('num', 'a+b')}{part('den', '2')}</m:f>", "(a+b)/2"),
        (f"<m:sSup>{part('e', 'x')}{part('sup', '2')}</m:sSup>", "x²"),
        (f"<m:sSub>{part('e', 'x')}{part('sub', '10')}</m:sSub>", "x₁₀"),
        (f"<m:rad><m:deg/>{part('e', 'x+1')}</m:rad>", "√(x+1)"),
        (f'<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr>{part("sub", "i=1")}{part("sup", "n")}{part("e", "i")}</m:nary>', "∑_(i=1)^n i"),
        (f'<m:d><m:dPr><m:begChr m:val="["/><m:endChr m:val="]"/></m:dPr>{part("e", "x")}</m:d>', "[x]"),
        (f"<m:func>{part('fName', 'sin')}{part('e', 'x')}</m:func>", "sin x"),
        (f"<m:m><m:mr>{part('e', '1')}{part('e', '2')}</m:mr><m:mr>{part('e', '3')}{part('e', '4')}</m:mr></m:m>", "1, 2; 3, 4"),
    ],
)
def test_equations(equation: str, text: str) -> None:
    assert body(paragraph(run("It is "), math(equation), run(" here."))).text == f"It is {text} here."


def level(at: int, kind: str, text: str, more: str = "") -> str:
    return f'<w:lvl w:ilvl="{at}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/>{more}<w:lvlText w:val="{text}"/></w:lvl>'


NUMBERING = (
    f"<w:numbering {NAMES}><w:abstractNum w:abstractNumId='0'>"
    + level(0, "decimal", "%1.")
    + level(1, "decimal", "%1.%2")
    + level(2, "lowerLetter", "(%3)")
    + level(3, "lowerRoman", "%4)")
    + "</w:abstractNum><w:abstractNum w:abstractNumId='1'>"
    + level(0, "upperRoman", "Article %1")
    + level(1, "decimal", "%1.%2", "<w:isLgl/>")
    + level(2, "bullet", "\uf0b7")
    + "</w:abstractNum><w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num><w:num w:numId='2'><w:abstractNumId w:val='1'/></w:num>"
    + "<w:num w:numId='3'><w:abstractNumId w:val='0'/><w:lvlOverride w:ilvl='0'><w:startOverride w:val='7'/></w:lvlOverride></w:num>"
    + "</w:numbering>"
)


def numbered(number: int, at: int, text: str = "x", style: str = "") -> str:
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return paragraph(run(text), properties=f'{named}<w:numPr><w:ilvl w:val="{at}"/><w:numId w:val="{number}"/></w:numPr>')


@pytest.mark.parametrize(
    ("items", "labels"),
    [
        ([(1, 0), (1, 0), (1, 1), (1, 1), (1, 0), (1, 1)], ["1.", "2.", "2.1", "2.2", "3.", "3.1"]),
        ([(1, 0), (1, 1), (1, 2), (1, 2), (1, 3), (1, 3)], ["1.", "1.1", "(a)", "(b)", "i)", "ii)"]),
        ([(2, 0), (2, 0), (2, 1), (2, 2)], ["Article I", "Article II", "2.1", "-"]),
        ([(1, 0), (3, 0), (3, 0), (1, 0)], ["1.", "7.", "8.", "9."]),
        ([(9, 0), (9, 1)], ["-", "-"]),
    ],
)
def test_generated_numbers(items: list[tuple[int, int]], labels: list[str]) -> None:
    read = body("".join(numbered(number, at) for number, at in items), numbering=NUMBERING)
    assert [line.strip().removesuffix(" x") for line in read.text.split("\n")] == labels


def test_numbers_of_headings() -> None:
    read = body(
        numbered(1, 0, "Scope", "Heading1") + numbered(1, 1, "Due dates", "Heading2") + paragraph(run("Text.")), numbering=NUMBERING
    )
    assert read.blocks[-1].headings == ("1. Scope", "1.1 Due dates")
    assert body(numbered(0, 0, "Scope", "Heading1")).text == "Scope"


def tracked(kind: str, inner: str = "") -> str:
    return f'<w:{kind} w:id="1" w:author="a">{inner}</w:{kind}>'


def test_tracked_changes_read_as_accepted() -> None:
    removed = f"<w:rPr>{tracked('del')}</w:rPr>"
    lines = paragraph(run("Notice must be given three "), properties=removed) + paragraph(run("weeks before."))
    gone = paragraph(tracked("del", "<w:r><w:delText>Old.</w:delText></w:r>"), properties=removed) + paragraph(run("New."))
    rows = (row(cell("Item"), cell("Price")), row(cell("Rake"), cell("11"), properties=tracked("del")), row(cell("Spade"), cell("19")))
    assert body(lines + gone + table(*rows)).text == "Notice must be given three weeks before.\n\nNew.\n\n| Item | Price |\n| Spade | 19 |"
    in_cell = f"<w:tc>{paragraph(run('two '), properties=removed)}{paragraph(run('words'))}</w:tc>"
    assert body(table(row(in_cell, cell("b")))).text == "| two words | b |"


def field(code: str, result: str) -> str:
    signs = [f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "separate", "end")]
    return f"{signs[0]}<w:r><w:instrText>{code}</w:instrText></w:r>{signs[1]}{run(result)}{signs[2]}"


def test_targets_of_links_and_results_of_fields() -> None:
    made: Any = docx.Document()
    line = made.add_paragraph("See ")
    link = OxmlElement("w:hyperlink")
    link.set(qn("r:id"), made.part.relate_to("https://portal.example/help", "http://x/hyperlink", is_external=True))
    link.append(line.add_run("the portal")._r)
    line._p.append(link)
    target = io.BytesIO()
    made.save(target)
    assert parsed(target.getvalue(), "a.docx").text == "See the portal (https://portal.example/help)"
    assert body(paragraph(field('HYPERLINK "https://a.example/"', "here"), run("."))).text == "here (https://a.example/)."
    simple = "<w:fldSimple w:instr=' HYPERLINK \"https://a.example/\" '>" + run("here") + "</w:fldSimple>"
    assert body(paragraph(simple)).text == "here (https://a.example/)"
    assert body(paragraph(field('HYPERLINK "https://a.example/"', "a.example"))).text == "a.example"
    assert body(paragraph(run("Due "), field("DATE", "4 May 2026"))).text == "Due 4 May 2026"


def test_headers_footers_and_page_numbers() -> None:
    made: Any = docx.Document()
    made.add_heading("Scope", 1)
    made.add_paragraph("Text.")
    made.sections[0].header.paragraphs[0].text = "Contract No. HX-2291"
    for section in (made.sections[0], made.add_section()):
        section.different_first_page_header_footer = False
        section.first_page_header.paragraphs[0].text = "Not printed"
    made.sections[0].footer.paragraphs[0].text = "Valid until 30 September 2027"
    made.sections[1].footer.is_linked_to_previous = False
    counter = parse_xml(f"<w:p {NAMES}>{run('Page ')}{field('PAGE', '3')}{run(' of ')}{field('NUMPAGES', '7')}</w:p>")
    made.sections[1].footer._element.append(counter)
    target = io.BytesIO()
    made.save(target)
    read = parsed(target.getvalue(), "a.docx")
    assert read.text == "Contract No. HX-2291\n\nScope\n\nText.\n\nValid until 30 September 2027"
    assert read.blocks[-1].headings == ()


def test_footnotes_stand_at_the_end_under_their_numbers() -> None:
    note = "<w:footnote {0}>" + paragraph(run("See annex {1}.")) + "</w:footnote>"
    notes = note.format('w:type="separator" w:id="-1"', 0) + note.format('w:id="2"', 2) + note.format('w:id="1"', 1)
    types = samples_types("footnotes")
    reference = '<w:r><w:footnoteReference w:id="{}"/></w:r>'
    document = paragraph(run("Price 500"), reference.format(1), run(" EUR."), reference.format(2))
    read = parsed(with_part(document, "footnotes", f"<w:footnotes {NAMES}>{notes}</w:footnotes>", types), "a.docx")
    assert read.text == "Price 500¹ EUR.²\n\n¹ See annex 1.\n\n² See annex 2."


def samples_types(name: str) -> str:
    return f"application/vnd.openxmlformats-officedocument.wordprocessingml.{name}+xml"


def with_part(document: str, name: str, content: str, kind: str) -> bytes:
    """A document that has one more part."""
    source = replaced(samples.word(), {"word/document.xml": f"<w:document {NAMES}><w:body>{document}</w:body></w:document>"})
    rels, types = "word/_rels/document.xml.rels", "[Content_Types].xml"
    schema = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relation = f'<Relationship Id="rIdX" Type="{schema}/{name}" Target="{name}.xml"/></Relationships>'
    override = f'<Override PartName="/word/{name}.xml" ContentType="{kind}"/></Types>'
    return replaced(
        source,
        {
            f"word/{name}.xml": content,
            rels: samples.entry(source, rels).decode().replace("</Relationships>", relation),
            types: samples.entry(source, types).decode().replace("</Types>", override),
        },
    )


def test_comments_say_who_and_on_what() -> None:
    comments = f'<w:comments {NAMES}><w:comment w:id="0" w:author="Ada">{paragraph(run("Use 14 days."))}</w:comment></w:comments>'
    mark = '<w:commentRange{} w:id="0"/>'
    document = paragraph(run("Within "), mark.format("Start"), run("30 days"), mark.format("End"), run("."))
    read = parsed(with_part(document, "comments", comments, samples_types("comments")), "a.docx")
    assert read.text == "Within 30 days.\n\nComment by Ada on “30 days”: Use 14 days."


def test_text_boxes_and_descriptions_of_pictures() -> None:
    box = f"<w:txbxContent>{paragraph(run('Call 5512.'))}</w:txbxContent>"
    alternatives = (
        f"<mc:AlternateContent><mc:Choice><w:drawing><wp:inline>{box}</wp:inline></w:drawing></mc:Choice>"
        f"<mc:Fallback><w:pict><v:shape><v:textbox>{box}</v:textbox></v:shape></w:pict></mc:Fallback></mc:AlternateContent>"
    )
    picture = '<w:drawing><wp:inline><wp:docPr id="1" name="Picture 1" descr="{}"/></wp:inline></w:drawing>'
    read = body(
        paragraph(f"<w:r>{alternatives}</w:r>", run("Beside."))
        + paragraph(f"<w:r>{picture.format('Map with gate 7')}</w:r>")
        + paragraph(f"<w:r>{picture.format('pictures/map.png')}</w:r>")
    )
    assert read.text == "Beside.\n\nCall 5512.\n\nMap with gate 7"


def form_field(data: str) -> str:
    return f'<w:r><w:fldChar w:fldCharType="begin"><w:ffData>{data}</w:ffData></w:fldChar></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>'


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("<w:checkBox><w:checked/></w:checkBox>", "☒ Insured"),
        ('<w:checkBox><w:default w:val="1"/><w:checked w:val="0"/></w:checkBox>', "☐ Insured"),
        ('<w:ddList><w:result w:val="1"/><w:listEntry w:val="No"/><w:listEntry w:val="Yes"/></w:ddList>', "Yes Insured"),
        ('<w:ddList><w:result w:val="7"/><w:listEntry w:val="No"/></w:ddList>', "Insured"),
    ],
)
def test_form_fields(data: str, text: str) -> None:
    assert body(paragraph(form_field(data), run(" Insured"))).text == text


def test_embedded_pages() -> None:
    made: Any = docx.Document()
    made.add_paragraph("Before.")
    for name, kind in (("a.html", "text/html"), ("a.rtf", "application/rtf")):
        part = Part(PackURI(f"/word/{name}"), kind, b"<html><body><p>Inside <b>it</b>.</p></body></html>", made.part.package)
        chunk = OxmlElement("w:altChunk")
        chunk.set(qn("r:id"), made.part.relate_to(part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/aFChunk"))
        made.element.body.insert(1, chunk)
    target = io.BytesIO()
    made.save(target)
    read = parsed(target.getvalue(), "a.docx")
    assert read.text == "Before.\n\nInside it." and "an embedded file was left out" in read.notes[0]
