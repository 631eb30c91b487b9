"""The refusal of files that could be read after a conversion."""

from retrieval.parse.limits import ParseError


def refusal(program: str, ending: str) -> ParseError:
    reason = f"the file is of {program}'s old format: save it as .{ending}, or install LibreOffice where the server runs"
    return ParseError(reason, "unsupported_file", convert_to=ending)
