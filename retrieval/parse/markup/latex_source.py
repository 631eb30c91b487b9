"""Prepares LaTeX for its parser: listings, in which nothing is a macro, are taken out, and the simplest definitions are put in."""

import re

_VERBATIM = re.compile(
    r"\\begin\{(verbatim\*?|Verbatim|lstlisting|minted|alltt)\}(?:\[[^\]\n]*\])?(?:\{[^}\n]*\})?[ \t]*\n?(.*?)\n?[ \t]*\\end\{\1\}", re.S
)
_INLINE = re.compile(r"\\(?:verb|lstinline)\*?([^\w\s*{\[])(.+?)\1")
_DEFINITION = re.compile(r"\\(?:re)?newcommand\*?\s*\{?\\([a-zA-Z]+)\}?\s*\{([^{}\\%]*)\}(?=\s)")
_SPECIAL = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"} | {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
)


def prepared(source: str) -> tuple[str, list[str]]:
    r"""The source with `\verbatimblock{n}` for each listing, and the listings."""
    source, listings = re.sub("\r\n?", "\n", source), list[str]()

    def number(found: re.Match[str]) -> str:
        listings.append(found[2])
        return f"\n\n\\verbatimblock{{{len(listings) - 1}}}\n\n"

    source = _INLINE.sub(lambda found: found[2].translate(_SPECIAL), _VERBATIM.sub(number, source))
    words = dict(_DEFINITION.findall(source))
    source = _DEFINITION.sub("", source)
    if words:
        macro = re.compile(rf"\\({'|'.join(map(re.escape, words))})(?![a-zA-Z])(?:\{{\}}|(?=\W|$))")
        source = macro.sub(lambda found: words[found[1]], source)
    return source, listings
