"""OpenDocument files are read by their structure, as Word, Excel and PowerPoint files are."""

import pytest

from retrieval.api import Document
from retrieval.parse.limits import ParseError
from retrieval.parse.office.opendocument.names import _SPACES
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks, zipped

NAMES = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in _SPACES.items())
KINDS = {"text": "odt", "spreadsheet": "ods", "presentation": "odp"}


def read(kind: str, body: str, *, styles: str = "", master: str = "", **parts: str) -> Document:
    """A document of this body; `styles`: automatic ones; `master`: master styles; `parts`: further ones, by their folders."""
    content = f"<office:document-content {NAMES}><office:automatic-styles>{styles}</office:automatic-styles><office:body>"
    files = {
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "Configurations2/empty.xml": "",
        "content.xml": f"{content}<office:{kind}>{body}</office:{kind}></office:body></office:document-content>",
        "styles.xml": f"<office:document-styles {NAMES}>{master}</office:document-styles>",
        **{f"{name}/content.xml": part for name, part in parts.items()},
    }
    return parsed(zipped(files), f"a.{KINDS[kind]}")


def style(name: str, properties: str, family: str = "text") -> str:
    return f'<style:style style:name="{name}" style:family="{family}"><style:text-properties {properties}/></style:style>'


def p(text: str) -> str:
    return f"<text:p>{text}</text:p>"


def span(name: str, text: str) -> str:
    return f'<text:span text:style-name="{name}">{text}</text:span>'


FORMATS = (
    style("up", 'style:text-position="super 58%"')
    + style("down", 'style:text-position="-33% 58%"')
    + style("gone", 'style:text-line-through-style="solid"')
    + style("hidden", 'text:display="none"')
    + style("blue", 'fo:color="#000080" fo:background-color="#000080"')
    + style("tiny", 'fo:font-size="1pt"')
    + style("sign", 'style:font-name="Symbol1"')
)


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (f"10{span('up', '6')} of H{span('down', '2')}O", "10⁶ of H₂O"),
        (f"now {span('gone', '90')} 120", "now ~~90~~ 120"),
        (f"40 {span('sign', chr(0xF0B0))}C", "40 °C"),
        ("a  \n b<text:s text:c='2'/>c<text:tab/>d<text:line-break/>e", "a b c d\ne"),
        ('See <text:a xlink:href="https://a.example/x">the portal</text:a>.', "See the portal (https://a.example/x)."),
        ("<text:ruby><text:ruby-base>東</text:ruby-base><text:ruby-text>とう</text:ruby-text></text:ruby>京", "東京"),
    ],
)
def test_formatting_that_carries_meaning(inside: str, text: str) -> None:
    assert read("text", p(inside), styles=FORMATS).text == text


@pytest.mark.parametrize("name", ["hidden", "blue", "tiny"])
def test_hidden_text_is_left_out(name: str) -> None:
    made = read("text", p(f"Seen. {span(name, 'Not seen.')}"), styles=FORMATS)
    assert made.text == "Seen." and made.notes == ("text that nobody can see on the page was left out",)


def test_headings_notes_comments_and_changes() -> None:
    note = "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>See annex.</text:p></text:note-body></text:note>"
    comment = f"<office:annotation><dc:creator>Ada</dc:creator>{p('Check')}</office:annotation>"
    deletion = f"<text:changed-region><text:deletion>{p('Old.')}</text:deletion></text:changed-region>"
    changes = f"<text:tracked-changes>{deletion}</text:tracked-changes>"
    made = read("text", f'{changes}<text:h text:outline-level="1">Scope</text:h>{p(f"Price 500{note} EUR.{comment}")}')
    assert made.text == "Scope\n\nPrice 500¹ EUR.\n\n¹ See annex.\n\nComment by Ada: Check"
    assert [block.headings for block in made.blocks] == [(), ("Scope",), (), ()]


def level(number: int, shown: int, kind: str = "1", suffix: str = ".") -> str:
    return (
        f'<text:list-level-style-number text:level="{number}" style:num-format="{kind}" style:num-suffix="{suffix}" '
        f'text:display-levels="{shown}"/>'
    )


LISTS = (
    f'<text:list-style style:name="n">{level(1, 1)}{level(2, 2, suffix="")}{level(3, 1, "a", ")")}</text:list-style>'
    '<text:list-style style:name="b"><text:list-level-style-bullet text:level="1"/></text:list-style>'
)


def items(*inside: str, name: str = "n", more: str = "") -> str:
    listed = "".join(f"<text:list-item>{one}</text:list-item>" for one in inside)
    return f'<text:list text:style-name="{name}" {more}>{listed}</text:list>'


def test_generated_numbers() -> None:
    inner = "<text:list><text:list-item>{}</text:list-item><text:list-item>{}</text:list-item></text:list>"
    first = items(p("x"), p("x") + inner.format(p("x"), p("x") + inner.format(p("x"), p("x"))))
    second = items(inner.format(p("x"), p("x")), p("x"), more='text:continue-numbering="true"')
    assert read("text", first + p("Between.") + second, styles=LISTS).text.split("\n\n") == [
        "1. x\n2. x\n  2.1 x\n  2.2 x\n    a) x\n    b) x",
        "Between.",
        "  2.3 x\n  2.4 x\n3. x",
    ]
    assert read("text", items(p("x"), p("y"), name="b") + items(p("z"), name="b"), styles=LISTS).text == "- x\n- y\n- z"


def test_numbered_headings() -> None:
    heading = '<text:h text:outline-level="{}">{}</text:h>'
    outline = "".join(f'<text:outline-level-style text:level="{at}" style:num-format="1" text:display-levels="{at}"/>' for at in (1, 2))
    master = f"<office:styles><text:outline-style>{outline}</text:outline-style></office:styles>"
    made = read("text", heading.format(1, "Scope") + heading.format(2, "Dates") + p("Text."), master=master)
    assert made.blocks[-1].headings == ("1 Scope", "1.1 Dates")
    in_list = items(heading.format(1, "Scope") + f"<text:list><text:list-item>{heading.format(2, 'Dates')}</text:list-item></text:list>")
    assert read("text", in_list + p("Text."), styles=LISTS).blocks[-1].headings == ("1. Scope", "1.1 Dates")


def cell(text: str, more: str = "") -> str:
    return f"<table:table-cell {more}>{p(text) if text else ''}</table:table-cell>"


def row(*cells: str, more: str = "") -> str:
    return f"<table:table-row {more}>{''.join(cells)}</table:table-row>"


COVERED = "<table:covered-table-cell/>"


def table(*rows: str, name: str = "Prices") -> str:
    return f'<table:table table:name="{name}">{"".join(rows)}</table:table>'


def test_merged_cells_of_a_table() -> None:
    rows = [row(cell(f"R{at}"), cell("a"), cell("1")) for at in range(9)]
    rows[2] = row(cell("R2", 'table:number-rows-spanned="2"'), cell("b"), cell("2"))
    rows[3] = row(COVERED, cell("c"), cell("3"))
    rows[5] = row(cell("R5"), cell("d", 'table:number-columns-spanned="2"'), COVERED)
    made = read("text", table(row(cell("Region"), cell("Part"), cell("Units")), *rows)).text.split("\n")
    assert made[3] == "Region: R2; Part: c; Units: 3" and made[5] == "Region: R5; Part: d; Units: d"


def test_frames_charts_and_equations() -> None:
    box = f"<draw:frame><draw:text-box>{p('Call 5512.')}</draw:text-box></draw:frame>"
    picture = '<draw:frame><draw:image xlink:href="x.png"/><svg:desc>Map with gate 7</svg:desc></draw:frame>'
    objects = "".join(f'<draw:frame><draw:object xlink:href="./{name}"/></draw:frame>' for name in ("Chart", "Equation"))
    rows = row(cell(""), cell("2025")) + row(cell("North"), cell("12.5"))
    chart = f"<chart:chart><chart:title>{p('Sales')}</chart:title>{table(rows)}</chart:chart>"
    made = read(
        "text",
        p(f"Beside.{box}{picture}{objects}"),
        Chart=f"<office:document-content {NAMES}><office:body><office:chart>{chart}</office:chart></office:body></office:document-content>",
        Equation='<math xmlns="http://www.w3.org/1998/Math/MathML"><msup><mi>r</mi><mn>2</mn></msup></math>',
    )
    assert made.text == "Beside.\n\nCall 5512.\n\nMap with gate 7\n\nSales\n\n|  | 2025 |\n| North | 12.5 |\n\nr²"


def test_headers_and_footers() -> None:
    number = "<text:page-number>3</text:page-number>"
    margins = f"<style:header>{p('Contract HX-2291')}</style:header><style:footer>{p(f'Page {number}')}</style:footer>"
    other = f"<style:header>{p(f'Test {number}')}</style:header>"
    pages = f"<style:master-page>{margins}</style:master-page><style:master-page>{other}</style:master-page>"
    made = read("text", p("Text."), master=f"<office:master-styles>{pages}</office:master-styles>")
    assert made.text == "Contract HX-2291\n\nTest\n\nText."


def value(kind: str, shown: str, number: str, attribute: str = "value") -> str:
    return cell(shown, f'office:value-type="{kind}" office:{attribute}="{number}"')


def test_values_of_sheets() -> None:
    cells = (
        cell("Anchor"),
        value("float", "1,234.50", "1234.5013"),
        value("float", "00451", "451"),
        value("percentage", "7.5%", "0.075"),
        value("currency", "€8.50", "8.5"),
        value("date", "5/4/26", "2026-05-04", "date-value"),
        value("float", "12.5 kg", "12.5"),
    )
    names = ("Item", "Units", "Zip", "Off", "Fee", "Due", "Mass")
    made = read(
        "spreadsheet", table(row(*map(cell, names)), row(*cells), row(*([cell("")] * 7), more='table:number-rows-repeated="1048000"'))
    )
    assert made.text == "Prices\n\nItem: Anchor; Units: 1234.5013; Zip: 00451; Off: 7.5%; Fee: €8.50; Due: 2026-05-04; Mass: 12.5 kg"
    assert made.blocks[0].page == 1


def test_merged_and_hidden_cells_of_sheets() -> None:
    rows = (
        row(cell("Region"), cell("City"), cell("Secret"), cell("Staff")),
        row(cell("Coast", 'table:number-rows-spanned="2"'), cell("Bergen"), cell("x"), cell("12")),
        row(COVERED, cell("Stavanger"), cell("x"), cell("9")),
        row(cell("Gone"), cell("y"), cell("y"), cell("1"), more='table:visibility="collapse"'),
        row(cell("Inland", 'table:number-columns-spanned="2"'), COVERED, cell("z"), cell("7")),
    )
    columns = '<table:table-column table:number-columns-repeated="2"/><table:table-column table:visibility="collapse"/>'
    secret = table(row(cell("Last year"))).replace("<table:table ", '<table:table table:style-name="off" ', 1)
    off = '<style:style style:name="off" style:family="table"><style:table-properties table:display="false"/></style:style>'
    made = read("spreadsheet", secret + table(columns, *rows), styles=off)
    assert made.text.split("\n\n")[-1].split("\n") == [
        "Region: Coast; City: Bergen; Secret: x; Staff: 12",
        "Region: Coast; City: Stavanger; Secret: x; Staff: 9",
        "Region: Gone; City: y; Secret: y; Staff: 1",
        "Region: Inland; City: Inland; Secret: z; Staff: 7",
    ]
    assert made.text.startswith("Prices (hidden sheet)\n\n| Last year |")
    assert set(made.notes) == {"1 hidden sheet was read too", "hidden rows and columns of the sheet Prices were read too"}


def test_slides() -> None:
    def frame(text: str, left: int, top: int, kind: str = "") -> str:
        place = f'svg:x="{left}cm" svg:y="{top}cm" svg:width="8cm" svg:height="4cm"'
        return f'<draw:frame presentation:class="{kind}" {place}><draw:text-box>{p(text)}</draw:text-box></draw:frame>'

    notes = f"<presentation:notes>{frame('Say it slowly', 0, 0, 'notes')}{frame('1', 0, 0, 'page-number')}</presentation:notes>"
    first = f"<draw:page>{frame('right', 12, 6)}{frame('left', 1, 6)}{frame('Plan', 1, 0, 'title')}{notes}</draw:page>"
    hidden = f'<draw:page draw:style-name="off">{frame("Seldom shown", 1, 0)}</draw:page>'
    off = (
        '<style:style style:name="off" style:family="drawing-page">'
        '<style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    )
    made = read("presentation", f"{first}{hidden}<draw:page>{frame('Last', 1, 1)}</draw:page>", styles=off)
    assert [(block.page, made.text[block.start : block.end]) for block in made.blocks] == [
        (1, "Plan"),
        (1, "left"),
        (1, "right"),
        (1, "Say it slowly"),
        (2, "Seldom shown"),
        (3, "Last"),
    ]
    assert blocks(made)[0][0] == "heading" and made.notes == ("1 hidden slide was read too",)


def test_a_document_in_one_file() -> None:
    sheet = table(row(cell("Zone"), cell("Rate")), row(cell("Z9"), cell("77.5")))
    flat = (
        f'<?xml version="1.0"?>\n<office:document {NAMES} office:mimetype="application/vnd.oasis.opendocument.spreadsheet"><office:meta>'
        f"<dc:title>Rates</dc:title></office:meta><office:body><office:spreadsheet>{sheet}</office:spreadsheet></office:body></office:document>"
    )
    for name in ("a.fods", "a.xml"):
        made = parsed(flat, name)
        assert made.title == "Rates" and made.text == "Prices\n\n| Zone | Rate |\n| Z9 | 77.5 |"


def test_refused_files() -> None:
    with pytest.raises(ParseError, match="protected with a password"):
        files = {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "x", "META-INF/manifest.xml": "<encryption-data/>"}
        parsed(zipped(files), "a.odt")
    bomb = '<!DOCTYPE x [<!ENTITY a "lol">]><x>&a;</x>'
    with pytest.raises(ParseError, match="XML bomb"):
        parsed(zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": bomb}), "a.odt")
