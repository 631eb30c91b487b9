"""What a person reads on a slide, in the order in which they read it."""

import io
from typing import Any

import pptx
import pytest
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.util import Inches

from retrieval.api import Document
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks

MATH = "http://schemas.openxmlformats.org/officeDocument/2006/math"
COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"


def deck() -> tuple[Any, Any]:
    """And its one slide, which is empty."""
    made: Any = pptx.Presentation()
    return made, made.slides.add_slide(made.slide_layouts[6])


def read(made: Any) -> Document:
    target = io.BytesIO()
    made.save(target)
    return parsed(target.getvalue(), "a.pptx")


def box(slide: Any, text: str, left: float, top: float, width: float = 3, height: float = 1) -> Any:
    shape = slide.shapes.add_textbox(Inches(left), Inches(top), Inches(width), Inches(height))
    shape.text_frame.text = text
    return shape


def order(*boxes: tuple[str, float, float, float, float]) -> list[str]:
    made, slide = deck()
    for text, left, top, width, height in boxes:
        box(slide, text, left, top, width, height)
    return read(made).text.split("\n\n")


@pytest.mark.parametrize(
    "boxes",
    [
        [("b", 5, 1.0, 3, 3), ("a", 0.5, 1.02, 3, 3)],
        [("a", 0.5, 1, 9, 0.8), ("c", 5, 2, 4, 4), ("b", 0.5, 2.03, 4, 4)],
        [("a", 0.5, 1, 3, 0.5), ("c", 5, 1, 3, 0.5), ("b", 0.5, 1.6, 3, 3), ("d", 5, 1.62, 3, 3)],
        [("c", 0.5, 4, 3, 1), ("b", 4, 1.1, 3, 1), ("a", 0.5, 1, 3, 1)],
        [("b", 2, 2, 3, 3), ("a", 1, 1, 3, 3)],
    ],
)
def test_reading_order(boxes: list[tuple[str, float, float, float, float]]) -> None:
    assert order(*boxes) == sorted(text for text, *_ in boxes)


def run(shape: Any, text: str, **properties: str) -> Any:
    made = shape.text_frame.paragraphs[0].add_run()
    made.text = text
    for name, value in properties.items():
        made._r.get_or_add_rPr().set(name, value)
    return made


def test_formatting_that_carries_meaning() -> None:
    made, slide = deck()
    shape = box(slide, "Dose 10", 1, 1)
    run(shape, "6", baseline="30000")
    run(shape, ", H")
    run(shape, "2", baseline="-25000")
    run(shape, "O, ")
    run(shape, "90", strike="sngStrike")
    run(shape, " 120 ")
    run(shape, "here").hyperlink.address = "https://a.example/x"
    assert read(made).text == "Dose 10⁶, H₂O, ~~90~~ 120 here (https://a.example/x)"


def test_generated_numbers() -> None:
    made, slide = deck()
    shape = box(slide, "One\nTwo\nInner\nThree", 1, 1)
    for paragraph, kind in zip(shape.text_frame.paragraphs, ("arabicPeriod", "arabicPeriod", "alphaLcParenR", "arabicPeriod"), strict=True):
        properties = paragraph._p.get_or_add_pPr()
        properties.append(parse_xml(f'<a:buAutoNum {nsdecls("a")} type="{kind}"/>'))
        if kind.startswith("alpha"):
            properties.set("lvl", "1")
    assert read(made).text == "1. One\n2. Two\n  a) Inner\n3. Three"


def test_equations_in_alternatives() -> None:
    made, slide = deck()
    shape = box(slide, "Area ", 1, 1)
    run_xml = (
        f'<m:oMath xmlns:m="{MATH}"><m:sSup><m:e><m:r><m:t>r</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:oMath>'
    )
    holder = f'<a14:m xmlns:a14="http://schemas.microsoft.com/office/drawing/2010/main">{run_xml}</a14:m>'
    shape.text_frame.paragraphs[0]._p.append(parse_xml(alternatives(holder, f"<a:r {nsdecls('a')}><a:t>[picture]</a:t></a:r>")))
    assert read(made).text == "Area r²"


def alternatives(choice: str, fallback: str) -> str:
    return (
        f'<mc:AlternateContent xmlns:mc="{COMPATIBILITY}"><mc:Choice Requires="a14">{choice}</mc:Choice>'
        f"<mc:Fallback>{fallback}</mc:Fallback></mc:AlternateContent>"
    )


def test_shapes_in_alternatives() -> None:
    made, slide = deck()
    shape = box(slide, "New kind", 1, 1)._element
    parent = shape.getparent()
    parent.remove(shape)
    holder = parse_xml(alternatives("", ""))
    holder[0].append(shape)
    parent.append(holder)
    assert read(made).text == "New kind"


def test_charts_are_tables() -> None:
    made, slide = deck()
    data = CategoryChartData()
    data.categories = ["North", "South"]
    data.add_series("2025", (12.5, 0.1 + 0.2))
    data.add_series("2026", (13.5, None))
    chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, Inches(5), Inches(3), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Sales"
    chart.value_axis.has_title = True
    chart.value_axis.axis_title.text_frame.text = "Million euros"
    read_back = read(made)
    assert read_back.text == "Sales\nMillion euros\n\n|  | 2025 | 2026 |\n| North | 12.5 | 13.5 |\n| South | 0.3 |  |"


def test_charts_of_points_and_of_nested_categories() -> None:
    made, slide = deck()
    points = XyChartData()
    series = points.add_series("Trial")
    series.add_data_point(0.7, 2.7)
    slide.shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, 0, 0, Inches(4), Inches(3), points)
    nested = CategoryChartData()
    for region in ("North", "South"):
        outer = nested.add_category(region)
        outer.add_sub_category("Spring")
        outer.add_sub_category("Autumn")
    nested.add_series("Sales", (1, 2, 3, 4))
    slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(5), 0, Inches(4), Inches(3), nested)
    assert "| 0.7 | 2.7 |" in read(made).text and "South Spring: 3" in read(made).text


def test_merged_cells() -> None:
    made, slide = deck()
    table = slide.shapes.add_table(10, 3, 0, 0, Inches(5), Inches(4)).table
    for row in range(10):
        for column in range(3):
            table.cell(row, column).text = f"{'ABC'[column]}{row}"
    table.cell(1, 0).merge(table.cell(3, 0))
    table.cell(5, 1).merge(table.cell(5, 2))
    table.cell(5, 2).text = ""
    lines = read(made).text.split("\n")
    assert lines[1].startswith("A0: A1") and lines[1].endswith("B0: B2; C0: C2")
    assert lines[4].startswith("A0: A5; B0: B5")


def test_diagrams_are_lists() -> None:
    names = 'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    points = "".join(
        f'<dgm:pt modelId="{at}"><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>'
        if text
        else f'<dgm:pt modelId="{at}" type="doc"/>'
        for at, text in enumerate(("", "Plan", "Build", "Dig"))
    )
    links = "".join(f'<dgm:cxn srcId="{a}" destId="{b}" srcOrd="{at}"/>' for a, b, at in ((0, 2, 1), (0, 1, 0), (2, 3, 0)))
    model = f"<dgm:dataModel {names}><dgm:ptLst>{points}</dgm:ptLst><dgm:cxnLst>{links}</dgm:cxnLst></dgm:dataModel>"
    made, slide = deck()
    kind = "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml"
    part = Part(PackURI("/ppt/diagrams/data1.xml"), kind, made.part.package, model.encode())
    relation = slide.part.relate_to(part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/diagramData")
    frame = slide.shapes.add_table(1, 1, 0, 0, Inches(3), Inches(3))._element
    graphic = frame.find(f".//{qn('a:graphicData')}")
    graphic.remove(graphic[0])
    graphic.set("uri", "http://schemas.openxmlformats.org/drawingml/2006/diagram")
    graphic.append(parse_xml(f'<dgm:relIds {names} {nsdecls("r")} r:dm="{relation}"/>'))
    assert blocks(read(made)) == [("list", "- Plan\n- Build\n  - Dig")]


def test_descriptions_and_comments() -> None:
    made, slide = deck()
    box(slide, "Text", 1, 1)._element.nvSpPr.cNvPr.set("descr", "Map with gate 7")
    box(slide, "Logo", 1, 3)._element.nvSpPr.cNvPr.set("descr", "logo.png")
    schema = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    for holder, name, xml in (
        (made.part, "commentAuthors", '<p:cmAuthorLst {0}><p:cmAuthor id="3" name="Ada"/></p:cmAuthorLst>'),
        (slide.part, "comments", '<p:cmLst {0}><p:cm authorId="3"><p:text>Ask Vera</p:text></p:cm></p:cmLst>'),
    ):
        part = Part(PackURI(f"/ppt/{name}1.xml"), "application/xml", made.part.package, xml.format(nsdecls("p")).encode())
        holder.relate_to(part, f"{schema}/{name}")
    assert read(made).text == "Text\n\nMap with gate 7\n\nLogo\n\nComment by Ada: Ask Vera"
