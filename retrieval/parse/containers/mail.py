"""E-mail (RFC 5322, MIME), also many messages in one file (mbox) and web pages saved as such (MHTML)."""

import email
import re
from email.message import Message

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.containers import mime
from retrieval.parse.containers.envelope import write_envelope
from retrieval.parse.dispatch import read_part
from retrieval.parse.limits import ParseError
from retrieval.parse.plain import text
from retrieval.parse.web import html

SHOWN = ("From", "To", "Cc", "Reply-To", "Date", "Subject")
_MBOX = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\r\n]*\d{4}[^\r\n]*\r?\n")
_ESCAPED_FROM = re.compile(rb"(?m)^>(?=>*From )")
_SAVED_PAGE = "Snapshot-Content-Location"
_ENCRYPTED = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")


def read(data: bytes, builder: DocumentBuilder) -> None:
    starts = [found.span() for found in _MBOX.finditer(data)]
    if not starts or starts[0][0] != 0:
        _write(email.message_from_bytes(data), builder)
        return
    for (_, begin), (end, _) in zip(starts, [*starts[1:], (len(data), 0)], strict=True):
        _write_inner(email.message_from_bytes(_ESCAPED_FROM.sub(b"", data[begin:end])), builder)


def _write_inner(message: Message, builder: DocumentBuilder) -> None:
    """A message within the file, as a part under its subject."""
    subject = mime.header(message, "Subject") or "message without a subject"
    try:
        with builder.part(subject, 0):
            _write(message, builder)
    except ParseError as error:
        builder.add_note(f"{subject} was left out: {error}")


def _write(message: Message, builder: DocumentBuilder) -> None:
    leaves = list(mime.shown_parts(message))
    attachments = [(mime.filename(part), part) for part in leaves if mime.is_attachment(part)]
    fields = [(name, mime.header(message, name)) for name in SHOWN if _SAVED_PAGE not in message]
    write_envelope(mime.header(message, "Subject"), fields, [name for name, _ in attachments], builder)
    if message.get_content_type() in _ENCRYPTED:
        builder.add_note("the message is encrypted: its text cannot be read")
        return
    for part in leaves:
        if not mime.is_attachment(part):
            _write_body(part, builder)
    for name, part in attachments:
        read_part(mime.content(part), name, builder)


def _write_body(part: Message, builder: DocumentBuilder) -> None:
    kind = part.get_content_type()
    if kind == "message/rfc822":
        for inner in mime.children(part):
            _write_inner(inner, builder)
    elif kind == "text/html":
        html.write(mime.text(part), builder)
    else:
        text.write(mime.text(part), builder)
