"""The encoding of a JSON body: UTF-8 (RFC 8259, 8.1), or what the content type says; a byte order mark is skipped."""

import codecs
import re

from server.core.errors import ApiError, bad_request

CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
UTF_8 = "utf-8"
OTHERS = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "iso8859-1", "cp1252"})  # as Python calls them


def expect_charset(parameters: str) -> str:
    """Of a content type's parameters; UTF-8 if they name none. Raises ApiError 415."""
    found = CHARSET.search(parameters)
    name = found[1] if found else ""
    if name.lower() in ("", "utf8", "ascii", "us-ascii"):
        return UTF_8
    try:
        charset = codecs.lookup(name).name
    except LookupError:
        charset = ""
    if charset != UTF_8 and charset not in OTHERS:
        raise ApiError(415, f"the body's charset is {name[:40]!r}; send it in UTF-8", code="unsupported_media_type")
    return charset


def decoded(body: bytes, charset: str) -> bytes:
    """In UTF-8, without a byte order mark. A body that is UTF-8 whatever its type says stays as it is. Raises ApiError 400."""
    if charset == UTF_8 or (body.startswith(b"{") and b"\0" not in body and _is_utf8(body)):
        return body.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode(charset).removeprefix("\ufeff").encode()
    except UnicodeError as error:
        raise bad_request(None, f"the body is not {charset}: {error}", "invalid_json") from error


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
