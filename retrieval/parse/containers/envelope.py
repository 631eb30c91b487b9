"""What stands above the text of a message, in the same form for all formats of mail."""

from collections.abc import Sequence

from retrieval.parse.common.builder import DocumentBuilder


def write_envelope(subject: str, fields: Sequence[tuple[str, str]], attachments: Sequence[str], builder: DocumentBuilder) -> None:
    """`fields`: names and values of the header; empty values are left out. `attachments`: names of files."""
    builder.set_title(subject)
    lines = [f"{name}: {value}" for name, value in (*fields, ("Attachments", ", ".join(attachments))) if value]
    builder.add_block("list", "\n".join(lines))
