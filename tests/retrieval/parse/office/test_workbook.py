"""What a person sees on a sheet: values as shown, merged cells, and what lies beside the cells."""

import datetime
import io
import re
from typing import Any

import openpyxl
import pytest
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.styles import Font

from retrieval.api import Document
from retrieval.parse.office.workbook.number_format import shown
from retrieval.parse.office.workbook.values import text
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import entry, replaced

HEAD = ("Item", "Price", "Place")


def saved(book: Any) -> bytes:
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def book(*rows: tuple[Any, ...]) -> tuple[Any, Any]:
    made: Any = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    return made, made.active


def lines(made: Any) -> list[str]:
    return parsed(saved(made), "a.xlsx").text.split("\n\n", 1)[1].split("\n")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (12345678901.55, "12345678901.55"),
        (0.1 + 0.2, "0.3"),
        (1e15, "1000000000000000"),
        (1.2345678901e10, "12345678901"),
        (6.02e23, "6.02e+23"),
        (4512345678901234, "4512345678901234"),
        (-0.000001234, "-1.234e-06"),
        (datetime.timedelta(days=1, hours=3, minutes=15), "27:15:00"),
        (datetime.datetime(2026, 5, 4), "2026-05-04"),
        (True, "yes"),
    ],
)
def test_values_as_text(value: object, written: str) -> None:
    assert text(value) == written


@pytest.mark.parametrize(
    ("value", "code", "written"),
    [
        (0.075, "0.0%", "7.5%"),
        (-0.001, "0.0%", "-0.1%"),
        (8.5, "€#,##0.00", "€8.50"),
        (1234.5, "#,##0.00 [$€-407]", "1234.50 €"),
        (-1250.5, '"$"#,##0.00_);("$"#,##0.00)', "-$1250.50"),
        (0, '_-* #,##0.00 €_-;-* #,##0.00 €_-;_-* "-"?? €_-;_-@_-', "0.00 €"),
        (451, "00000", "00451"),
        (1234567, '#,##0,"K"', "1235K"),
        (12.5, '0.0" kg"', "12.5 kg"),
        (12.5, 'General" kg"', "12.5 kg"),
        (2, '[=1]"Male";[=2]"Female"', "Female"),
        (0, '"yes";;"no"', "no"),
        (2.005, "0.00", None),
        (-1250.5, "#,##0.00;[Red](#,##0.00)", None),
        (3.5, "[$-409]0.00", None),
        (7, "General", None),
        (0.5, "# ?/?", None),
        (float("inf"), "0%", None),
        (7, '0"' + "x" * 300, None),
    ],
)
def test_number_formats_that_carry_meaning(value: float, code: str, written: str | None) -> None:
    assert shown(value, code) == written


def test_formats_of_cells() -> None:
    made, sheet = book(("Zip", "Off", "Fee"), (451, 0.075, 8.5), (77, 0.5, 9))
    for column, code in zip("ABC", ("00000", "0.0%", "€#,##0.00"), strict=True):
        sheet[f"{column}2"].number_format = code
    assert lines(made)[0] == "Zip: 00451; Off: 7.5%; Fee: €8.50"


def test_raised_and_struck_characters() -> None:
    made, sheet = book(HEAD, ("Rope", 90, "x"), ("Tar", 91, "y"))
    sheet["A2"] = CellRichText("10", TextBlock(InlineFont(vertAlign="superscript"), "6"))
    sheet["B2"].font = Font(strike=True)
    assert lines(made)[0] == "Item: 10⁶; Price: ~~90~~; Place: x"


def test_merged_cells() -> None:
    made, sheet = book(("Region", "City", "Staff"), ("Coast", "Bergen", 12), (None, "Stavanger", 9), ("Inland", "All", None))
    sheet.merge_cells("A2:A3")
    sheet.merge_cells("B4:C4")
    assert lines(made) == [
        "Region: Coast; City: Bergen; Staff: 12",
        "Region: Coast; City: Stavanger; Staff: 9",
        "Region: Inland; City: All; Staff: All",
    ]


def test_a_merged_title_and_two_rows_of_names() -> None:
    made, sheet = book(("Sales 2026",), (None, "North", None, "South"), ("Month", "Sold", "Left", "Sold", "Left"), ("M1", 1, 2, 3, 4))
    for cells in ("A1:E1", "B2:C2", "D2:E2"):
        sheet.merge_cells(cells)
    assert lines(made) == ["Sales 2026", "Month: M1; North Sold: 1; North Left: 2; South Sold: 3; South Left: 4"]


def test_merged_cells_of_a_hostile_file_repeat_little() -> None:
    made, sheet = book(*((f"{at} {'x' * 150}", at) for at in range(300)))
    sheet.merge_cells("C1:ALL300")
    sheet["C1"] = "y" * 190
    assert len(parsed(saved(made), "a.xlsx").text) < 200_000


@pytest.mark.parametrize(
    ("formula", "shown_as"), [("=B2*2", "=B2*2"), ('=HYPERLINK("https://a.example")', '=HYPERLINK("https://a.example")')]
)
def test_formulas_without_stored_values(formula: str, shown_as: str) -> None:
    made, _ = book(HEAD, ("Rope", 4, formula), ("Tar", 5, "x"))
    read = parsed(saved(made), "a.xlsx")
    assert f"Place: {shown_as}" in read.text
    assert read.notes == ("1 formula of the sheet Sheet without a stored value: open and save the file in a spreadsheet program",)


def test_formulas_with_an_empty_text_as_value_are_empty() -> None:
    made, _ = book(HEAD, ("Rope", 4, "=A9"), ("Tar", 5, "x"))
    sheet = "xl/worksheets/sheet1.xml"
    stored = entry(saved(made), sheet).replace(b'<c r="C2"><f>A9</f><v></v></c>', b'<c r="C2" t="str"><f>A9</f><v></v></c>')
    assert b't="str"' in stored
    read = parsed(replaced(saved(made), {sheet: stored}), "a.xlsx")
    assert read.text.split("\n")[2] == "Item: Rope; Price: 4" and read.notes == ()


def test_what_lies_beside_the_cells() -> None:
    made, sheet = book(HEAD, ("Rope", 4, "Ulm"), ("Tar", 5, "Bonn"))
    sheet["A2"].comment = Comment("Ask Vera", "Ada")
    sheet["C2"].hyperlink = "https://files.example/ulm"
    sheet.oddHeader.left.text = "Confidential draft"
    sheet.oddFooter.center.text = "Page &P of &N"
    chart = BarChart()
    chart.title = "Prices"
    chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=3), titles_from_data=True)
    sheet.add_chart(chart, "E2")
    read: Document = parsed(saved(made), "a.xlsx")
    assert "Place: Ulm (https://files.example/ulm)" in read.text
    for part in ("Comment by Ada on A2: Ask Vera", "Prices", "Confidential draft"):
        assert part in read.text
    assert "Page" not in read.text


def test_labels_beside_values() -> None:
    made, _ = book(("Supplier", "Aalto Oy"), ("Contact", "Mia Salo"), ("VAT number", "FI-4471"), ("Payment terms", "30 days net"))
    assert lines(made) == ["Supplier: Aalto Oy", "Contact: Mia Salo", "VAT number: FI-4471", "Payment terms: 30 days net"]


def test_a_form_whose_cells_are_merged() -> None:
    made, sheet = book(("Name", None, "Ada"), ("Born", None, 1815), ("Code", None, "K-7"))
    for row in (1, 2, 3):
        sheet.merge_cells(f"A{row}:B{row}")
        sheet.merge_cells(f"C{row}:F{row}")
    assert lines(made) == ["Name: Ada", "Born: 1815", "Code: K-7"]


def test_workbooks_whose_styles_are_damaged() -> None:
    made, _ = book(HEAD, ("Rope", 4, "Ulm"), ("Tar", 5.5, "Bonn"))
    styles = entry(saved(made), "xl/styles.xml")
    broken = styles.replace(b'fontId="0"', b'fontId="x"')
    assert broken != styles
    read = parsed(replaced(saved(made), {"xl/styles.xml": broken}), "a.xlsx")
    assert read.text.split("\n\n")[1] == "Item: Rope; Price: 4; Place: Ulm\nItem: Tar; Price: 5.5; Place: Bonn"
    assert "percent and currency signs" in read.notes[0]


def test_empty_fills_are_none() -> None:
    made, sheet = book(HEAD, ("Rope", 0.5, "=B2*2"), ("Tar", 5.5, "Bonn"))
    sheet["B2"].number_format = "0%"
    styles = entry(saved(made), "xl/styles.xml")
    empty = re.sub(rb"<fill>.*?</fill>", b"<fill/>", styles, count=1)
    assert empty != styles
    assert "Item: Rope; Price: 50%; Place: =B2*2" in parsed(replaced(saved(made), {"xl/styles.xml": empty}), "a.xlsx").text
