"""What concerns the file as a whole: attachments, XFA, encryption, PDFs in other files."""

from fpdf import FPDF
from fpdf.enums import EncryptionMethod

from retrieval.api import Document
from tests.retrieval import samples
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.pdf_file import FIRST_EXTRA, pdf, stream, text

COVER = text(60, 700, "See the attached files.")


def attached(*files: tuple[str, bytes], root: str = "") -> Document:
    specs = [
        f"<< /Type /Filespec /F ({name}) /UF ({name}) /EF << /F {FIRST_EXTRA + 2 * at + 1} 0 R >> >>" for at, (name, _) in enumerate(files)
    ]
    extra = [content for spec, (_, data) in zip(specs, files, strict=True) for content in (spec, stream("/Type /EmbeddedFile", data))]
    names = " ".join(f"({name}) {FIRST_EXTRA + 2 * at} 0 R" for at, (name, _) in enumerate(files))
    return parsed(pdf([COVER], extra, root=f"/Names << /EmbeddedFiles << /Names [{names}] >> >> {root}"), "a.pdf")


def test_attachments_are_parts_of_the_document() -> None:
    made = attached(
        ("prices.csv", b"Part,Price\nP-1,31\nP-2,95\n"), ("minutes.docx", samples.word()), ("sound.mp3", b"ID3\x04\0\xff\xfb\x90" * 9)
    )
    assert "See the attached files." in made.text and "Part: P-2; Price: 95" in made.text and "Everybody has 30 days." in made.text
    assert [block.headings[0] for block in made.blocks if "P-2" in made.text[block.start : block.end]] == ["prices.csv"]
    assert any("sound.mp3 was left out" in note for note in made.notes)


def test_portfolios_hold_pdfs() -> None:
    inner = pdf([text(60, 700, "The boiler valve opens at 6.5 bar.")])
    assert "6.5 bar" in attached(("valve.pdf", inner), root="/Collection << /View /T >>").text


def test_a_file_attached_to_a_place_is_read() -> None:
    spec = f"<< /Type /Filespec /F (note.txt) /EF << /F {FIRST_EXTRA + 1} 0 R >> >>"
    pin = f"<< /Type /Annot /Subtype /FileAttachment /FS {FIRST_EXTRA} 0 R /Rect [300 690 320 710] /F 4 >>"
    extra = [spec, stream("/Type /EmbeddedFile", b"The spare key is in locker 41."), pin]
    made = parsed(pdf([COVER], extra, page=f"/Annots [{FIRST_EXTRA + 2} 0 R]"), "a.pdf")
    assert made.text.count("locker 41") == 1


def test_values_of_an_xfa_form_are_read_and_noted() -> None:
    data = (
        '<xfa:datasets xmlns:xfa="http://www.xfa.org/schema/xfa-data/1.0/"><xfa:data><form><Surname>Halvorsen</Surname>'
        "<Policy>PX-7719-K</Policy><Empty/></form></xfa:data></xfa:datasets>"
    )
    extra = [stream("", data), stream("", "<template xmlns='http://www.xfa.org/schema/xfa-template/2.8/'/>")]
    form = f"/AcroForm << /Fields [] /XFA [(template) {FIRST_EXTRA + 1} 0 R (datasets) {FIRST_EXTRA} 0 R] >> /NeedsRendering true"
    made = parsed(pdf([text(60, 700, "Please wait...")], extra, root=form), "a.pdf")
    assert "Surname: Halvorsen\nPolicy: PX-7719-K" in made.text and "XFA" in made.notes[0]


def test_an_empty_user_password_hides_nothing() -> None:
    made = FPDF()
    made.set_encryption("owner", "", encryption_method=EncryptionMethod.AES_128)
    made.add_page()
    made.set_font("helvetica", size=11)
    made.cell(0, 10, "The valve opens at 6.5 bar.")
    assert "6.5 bar" in parsed(bytes(made.output()), "a.pdf").text


def test_a_pdf_in_an_archive_is_read_as_by_itself() -> None:
    made = parsed(samples.zipped({"letters/valve.pdf": pdf([COVER, COVER]), "empty.pdf": pdf([""])}), "a.zip")
    assert made.text.count("See the attached files.") == 2 and any("empty.pdf was left out" in note for note in made.notes)
