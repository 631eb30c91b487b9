"""Word's binary format of before 2007, which LibreOffice must convert before it is read."""

from typing import IO

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.office.old.refusal import refusal


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    """Raises ParseError: the parser runs no other programs."""
    raise refusal("Word", "docx")
