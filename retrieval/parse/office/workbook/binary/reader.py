"""Excel's binary formats, .xls and .xlsb: a sheet is a page, its name a heading. Where a file is damaged, values without formats."""

from collections.abc import Callable, Sequence
from typing import IO

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.limits import ParseError
from retrieval.parse.office import visibility
from retrieval.parse.office.workbook.binary import values_only, xls, xlsb
from retrieval.parse.office.workbook.binary.sheet import Sheet

ZIP = b"PK"
MAX_WITH_FORMATS = 64 << 20  # bytes of an .xls file: larger ones take too long


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    packed = source.read(len(ZIP)) == ZIP
    size = source.seek(0, 2)
    source.seek(0)
    readers: Callable[[IO[bytes], DocumentBuilder], Sequence[Sheet]] = xlsb.sheets if packed else xls.sheets
    if packed or size <= MAX_WITH_FORMATS:
        try:
            sheets = readers(source, builder)
            sheets[0].rows = list(sheets[0].rows)
        except (ParseError, MemoryError):
            raise
        except Exception as error:  # a damaged file; xlrd fails in a dozen ways
            _refuse_passwords(error)
        else:
            _write(sheets, builder)
            return
    source.seek(0)
    values_only.read(source, builder)


def _write(sheets: Sequence[Sheet], builder: DocumentBuilder) -> None:
    for number, sheet in enumerate(sheets, 1):
        sheet.write(number, builder)
    visibility.note_hidden(builder, "sheet", sum(sheet.hidden for sheet in sheets))


def _refuse_passwords(error: Exception) -> None:
    if "encrypted" in str(error).casefold():
        raise ParseError("the file is protected with a password: save it without one") from error
