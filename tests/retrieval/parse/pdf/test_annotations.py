"""Form fields beside their labels; links, comments, and what is drawn over the page."""

from collections.abc import Sequence

from retrieval.api import Document
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.pdf_file import FIRST_EXTRA, pdf, rows, stream, text

APPEARANCE = "/AP << /N {} 0 R >>"


def read(content: str, annotations: Sequence[str], extra: Sequence[bytes] = (), form: str = "") -> Document:
    """`extra`: numbered after the annotations."""
    numbers = " ".join(f"{FIRST_EXTRA + at} 0 R" for at in range(len(annotations)))
    root = f"/AcroForm << /Fields [{numbers}] /DR << /Font << /F1 3 0 R >> >> /DA (/F1 11 Tf 0 g) {form} >>"
    objects: list[str | bytes] = [f"<< /Type /Annot {annotation} >>" for annotation in annotations]
    return parsed(pdf([content], [*objects, *extra], page=f"/Annots [{numbers}]", root=root), "a.pdf")


def field(name: str, value: str, x: float, y: float, *, width: float = 200, flags: int = 4, more: str = "") -> str:
    box = f"/Rect [{x} {y - 4} {x + width} {y + 14}]"
    return f"/Subtype /Widget /FT /Tx /T ({name}) /V ({value}) /DA (/F1 11 Tf 0 g) {box} /F {flags} {more}"


def switch(name: str, state: str, x: float, y: float) -> str:
    return f"/Subtype /Widget /FT /Btn /T ({name}) /V /{state} /AS /{state} /Rect [{x} {y - 2} {x + 12} {y + 10}] /F 4"


def test_values_stand_behind_their_labels() -> None:
    labels = [((60, "Surname"),), ((60, "Policy number:"), (330, "Date")), ((60, "Person injured"),), ((60, "Police informed"),)]
    made = read(
        rows(*labels, step=30),
        [
            field("a", "Halvorsen", 160, 700),
            field("b", "PX-7719-K", 160, 670, width=120),
            field("c", "3 May 2027", 370, 670),
            switch("d", "Yes", 160, 640),
            switch("e", "Off", 160, 610),
        ],
    )
    for line in ("Surname: Halvorsen", "Policy number: PX-7719-K", "Date: 3 May 2027", "Person injured: Yes", "Police informed: No"):
        assert line in made.text, made.text


def test_a_label_may_stand_above_its_field_or_behind_its_switch() -> None:
    content = text(60, 720, "Name of the applicant") + text(80, 650, "I agree to the terms") + text(80, 630, "Send me offers")
    made = read(content, [field("a", "Ida Berg", 60, 700), switch("b", "On", 62, 650), switch("c", "Off", 62, 630)])
    assert "Name of the applicant: Ida Berg" in made.text
    assert "[x] I agree to the terms" in made.text and "[ ] Send me offers" in made.text


def test_fields_in_rows_and_columns_are_cells_of_a_table() -> None:
    content = rows(((60, "Item"), (200, "Quantity"), (330, "Price")), top=720)
    cells = [("Bolt", "40", "3.10"), ("Nut", "55", "1.20"), ("Washer", "", "0.40")]
    made = read(
        content,
        [
            field(f"f{row}{column}", value, (60, 200, 330)[column], 700 - 20 * row, width=100)
            for row, values in enumerate(cells)
            for column, value in enumerate(values)
        ],
    )
    assert "| Bolt | 40 | 3.10 |" in made.text and "| Washer |  | 0.40 |" in made.text, made.text


def test_a_field_without_a_label_on_the_page_has_its_name() -> None:
    made = read(text(60, 740, "Claim"), [field("claim.policy", "PX-1", 60, 300), field("x", "7", 60, 200, more="/TU (Number of children)")])
    assert "claim.policy: PX-1" in made.text and "Number of children: 7" in made.text


def test_choices_and_several_lines() -> None:
    options = "/FT /Ch /Ff 131072 /Opt [[(no) (Norway)] [(fi) (Finland)]] /V (fi)"
    country = f"/Subtype /Widget /T (c) {options} /DA (/F1 11 Tf 0 g) /Rect [160 696 360 714] /F 4"
    remarks = "/Subtype /Widget /FT /Tx /Ff 4096 /T (r) /V (Ring twice\\rand wait) /DA (/F1 11 Tf 0 g) /Rect [160 600 360 660] /F 4"
    made = read(text(60, 700, "Country") + text(60, 648, "Remarks"), [country, remarks])
    assert "Country: Finland" in made.text and "Remarks: Ring twice\nand wait" in made.text


def test_hidden_fields_and_passwords_are_not_read() -> None:
    content = text(60, 700, "Surname") + text(60, 670, "Password")
    made = read(content, [field("a", "ghost", 160, 700, flags=2), field("b", "hunter2", 160, 670, more="/Ff 8192")])
    assert "ghost" not in made.text and "hunter2" not in made.text and "Password" in made.text


def test_drawn_annotations_are_text_of_the_page() -> None:
    form = "/Type /XObject /Subtype /Form /BBox [0 0 200 30] /Resources << /Font << /F1 3 0 R >> >>"
    stamp, note = "BT /F1 20 Tf 5 8 Td (APPROVED 7 May) Tj ET", "BT /F1 11 Tf 5 8 Td (Deliver to gate 7) Tj ET"
    made = read(
        text(60, 700, "Purchase order 4471"),
        [
            f"/Subtype /Stamp /Rect [300 600 500 630] /F 4 {APPEARANCE.format(FIRST_EXTRA + 2)}",
            f"/Subtype /FreeText /Contents (Deliver to gate 7) /Rect [60 500 260 530] /F 4 {APPEARANCE.format(FIRST_EXTRA + 3)}",
        ],
        [stream(form, stamp), stream(form, note)],
    )
    assert made.text.count("APPROVED 7 May") == 1 and made.text.count("Deliver to gate 7") == 1


def test_comments_name_their_authors() -> None:
    made = read(
        text(60, 700, "The fee is 40 crowns."),
        [
            "/Subtype /Text /Contents (Check the fee with Olga) /T (Per) /Rect [300 690 320 710] /F 4",
            "/Subtype /Highlight /Contents (too low) /T (Ida) /Rect [60 690 160 710] /QuadPoints [60 710 160 710 60 690 160 690] /F 4",
            "/Subtype /FreeText /Contents (Paid by Kari) /DA (/F1 11 Tf) /Rect [60 500 260 530] /F 4",
            "/Subtype /Popup /Contents (no) /Rect [0 0 9 9] /F 4",
        ],
    )
    assert "Comment (Per): Check the fee with Olga" in made.text and "Comment (Ida): too low" in made.text
    assert "Paid by Kari" in made.text and made.text.count("no") == 0


def link(target: str, x: float, y: float, width: float) -> str:
    return f"/Subtype /Link /Rect [{x} {y - 3} {x + width} {y + 11}] /A << /S /URI /URI ({target}) >>"


def test_targets_of_links_stand_behind_their_text() -> None:
    made = read(
        text(60, 700, "Get it from the portal, or write.") + text(60, 680, "www.harbour.example"),
        [
            link("https://files.example/v3.zip", 117, 700, 52),
            link("mailto:desk@harbour.example", 188, 700, 25),
            link("http://www.harbour.example/", 60, 680, 110),
        ],
    )
    assert "the portal (https://files.example/v3.zip)," in made.text and "write (mailto:desk@harbour.example)." in made.text
    assert made.text.count("harbour.example") == 2


def test_many_links_are_listed_after_the_page() -> None:
    places = [(60 + 100 * (at % 5), 700 - 20 * (at // 5), f"Town{at}") for at in range(25)]
    made = read("".join(text(x, y, name) for x, y, name in places), [link(f"https://e.example/{name}", x, y, 40) for x, y, name in places])
    assert "- Town7: https://e.example/Town7" in made.text.split("\n")
