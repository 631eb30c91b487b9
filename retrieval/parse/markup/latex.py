"""LaTeX: translated to HTML and read as such. Nothing is included from other files."""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from pylatexenc.latex2text import LatexNodes2Text, get_default_latex_context_db
from pylatexenc.latexwalker import (
    LatexCharsNode,
    LatexEnvironmentNode,
    LatexGroupNode,
    LatexMacroNode,
    LatexMathNode,
    LatexSpecialsNode,
    LatexWalker,
)
from pylatexenc.latexwalker import get_default_latex_context_db as get_walker_context
from pylatexenc.macrospec import MacroSpec, MacroStandardArgsParser

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.markup import latex_source
from retrieval.parse.markup.lines import code_html
from retrieval.parse.web import html

_SECTIONS = {"part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5, "subparagraph": 6}
_LISTS = {"itemize": "ul", "enumerate": "ol", "description": "ul"}
_TABLES = ("tabular", "tabular*", "tabularx", "longtable", "tabulary", "supertabular")
_EQUATIONS = ("equation", "align", "gather", "eqnarray", "multline", "displaymath", "math", "flalign", "alignat")
_UNSHOWN_ENVIRONMENTS = ("tikzpicture", "comment", "pgfpicture", "filecontents")
_WRAPPED = {"textsuperscript": "sup", "textsubscript": "sub", "sout": "del", "st": "del"}
_UNSHOWN = (
    "documentclass usepackage label bibliographystyle bibliography input include includegraphics vspace hspace setlength setcounter "
    "pagestyle thispagestyle hypersetup graphicspath lstset index nocite hline toprule midrule bottomrule cline cmidrule maketitle "
    "newcommand renewcommand"
)
_UNSHOWN_MACROS = frozenset(_UNSHOWN.split())
_ARGUMENTS = {
    "href": "{{", "url": "{", "textsuperscript": "{", "textsubscript": "{", "sout": "{", "st": "{", "multicolumn": "{{{", "multirow": "{{{",
    "caption": "[{", "bibitem": "[{", "verbatimblock": "{", "cmidrule": "{", "cline": "{", "hypersetup": "{", 
    "part": "*[{", "chapter": "*[{",    "vspace": "*{", "hspace": "*{", "setlength": "{{", "graphicspath": "{", "lstset": "{",
}  # fmt: skip


def read(data: bytes, builder: DocumentBuilder) -> None:
    source, verbatim = latex_source.prepared(read_text(data, builder.add_note))
    context = get_walker_context()
    context.add_context_category(
        "read here", macros=[MacroSpec(name, MacroStandardArgsParser(spec)) for name, spec in _ARGUMENTS.items()], prepend=True
    )
    nodes = LatexWalker(source, latex_context=context).get_latex_nodes()[0]
    html.write(f"<body><main>{_Translation(verbatim).page(nodes)}</main></body>", builder)


class _Translation:
    """`verbatim`: the listings that stand as numbers in the source."""

    def __init__(self, verbatim: Sequence[str]) -> None:
        self._verbatim = verbatim
        self._symbols = get_default_latex_context_db()
        self._to_text = LatexNodes2Text(math_mode="text", keep_comments=False, strict_latex_spaces=False)

    def page(self, nodes: Sequence[Any]) -> str:
        """Of a whole document what precedes its beginning is left out, except title, author and date."""
        body = next((node for node in nodes if isinstance(node, LatexEnvironmentNode) and node.environmentname == "document"), None)
        if body is None:
            return self.html(nodes)
        head = {node.macroname: _argument(node) for node in (*nodes, *body.nodelist) if isinstance(node, LatexMacroNode)}
        title, others = self.html(head.get("title")), [self.html(head.get(name)) for name in ("author", "date")]
        shown = f"<title>{title}</title><h1>{title}</h1>" if title else ""
        return shown + "".join(f"<p>{text.replace(' , ', ', ')}</p>" for text in others if text) + self.html(body.nodelist)

    def html(self, nodes: Sequence[Any] | None) -> str:
        return "".join(self._node(node) for node in nodes or () if node is not None)

    def _node(self, node: Any) -> str:
        match node:
            case LatexCharsNode():
                return re.sub(r"\n\s*\n", "<p>", escape(node.chars, quote=False))
            case LatexGroupNode():
                return self.html(node.nodelist)
            case LatexMacroNode():
                return self._macro(node, node.macroname)
            case LatexEnvironmentNode():
                return self._environment(node, node.environmentname)
            case LatexMathNode():
                return self._text(node)
            case LatexSpecialsNode():
                return " " if node.specials_chars == "~" else "<p>" if "\n" in node.specials_chars else self._text(node)
            case _:
                return " "  # a comment

    def _text(self, node: Any) -> str:
        return escape(self._to_text.nodelist_to_text([node]), quote=False)

    def _macro(self, node: LatexMacroNode, name: str) -> str:
        inner = self.html(_argument(node))
        if name in _SECTIONS:
            return f"<h{_SECTIONS[name]}>{inner}</h{_SECTIONS[name]}>"
        if name in _WRAPPED:
            return f"<{_WRAPPED[name]}>{inner}</{_WRAPPED[name]}>"
        if name == "verbatimblock":
            return code_html(self._verbatim[int(inner)].split("\n"))
        if name in ("\\", "newline"):
            return "<br>"
        if name == "and":
            return ", "
        if name in ("multicolumn", "multirow"):
            return inner
        if name == "href":
            return f'<a href="{_source(node, 0).replace(chr(34), "%22")}">{inner}</a>'
        if name in ("url", "path", "ref", "eqref", "pageref", "autoref", "cref"):
            return escape(_source(node, -1), quote=False)
        if name.startswith("cite") or name == "bibitem":
            return f"<p>[{inner}] " if name == "bibitem" else f"[{inner}]"
        if name in ("caption", "footnote", "footnotetext", "thanks"):
            return f"<p>{inner}</p>" if name == "caption" else f" ({inner})"
        if name in _UNSHOWN_MACROS or name in ("title", "author", "date"):
            return ""
        return self._other_macro(node, name)

    def _other_macro(self, node: LatexMacroNode, name: str) -> str:
        """A sign, or text in another font."""
        arguments = [argument for argument in (node.nodeargd.argnlist if node.nodeargd else None) or () if argument is not None]
        known = self._symbols.get_macro_spec(name)
        if known is not None and (not arguments or len(name) == 1):
            return self._text(node)
        return self.html(arguments)

    def _environment(self, node: LatexEnvironmentNode, name: str) -> str:
        if name in _UNSHOWN_ENVIRONMENTS:
            return ""
        if name in _LISTS:
            return f"<{_LISTS[name]}>{''.join(self._items(node.nodelist))}</{_LISTS[name]}>"
        if name in _TABLES:
            return self._table([row for row in _split(node.nodelist, _is_row_end) if self.html(row).strip()])
        if name.rstrip("*") in _EQUATIONS:
            return f"<p>{self._text(node)}</p>"
        return f"<div>{self.html(node.nodelist)}</div>"

    def _items(self, nodes: Sequence[Any]) -> list[str]:
        items = list[str]()
        for node in nodes:
            if isinstance(node, LatexMacroNode) and node.macroname == "item":
                label = self.html(_argument(node))
                items.append(f"<li>{label}: " if label else "<li>")
            elif items:
                items[-1] += self._node(node)
        return items

    def _table(self, rows: list[list[Any]]) -> str:
        lines, covered = list[str](), dict[int, int]()  # rows below that a cell covers, by column; LaTeX has an empty cell there
        for row in rows:
            cells, column = list[str](), 0
            for cell in _split(row, _is_cell_end):
                text, spans = self.html(cell).strip(), _spans(cell)
                if covered.get(column, 0) and not text:
                    covered[column] -= 1
                else:
                    cells.append(f'<td colspan="{spans["multicolumn"]}" rowspan="{spans["multirow"]}">{text}</td>')
                    covered[column] = spans["multirow"] - 1
                column += spans["multicolumn"]
            lines.append(f"<tr>{''.join(cells)}</tr>")
        return f"<table>{''.join(lines)}</table>"


def _spans(cell: Sequence[Any]) -> dict[str, int]:
    found = {node.macroname: _source(node, 0) for node in cell if isinstance(node, LatexMacroNode)}
    return {name: int(found[name]) if re.fullmatch(r"\d{1,3}", found.get(name, "")) else 1 for name in ("multicolumn", "multirow")}


def _argument(node: LatexMacroNode) -> Sequence[Any]:
    """The nodes of the last argument, which for nearly all macros is the text."""
    arguments = [argument for argument in (node.nodeargd.argnlist if node.nodeargd else None) or () if argument is not None]
    return arguments[-1:]


def _source(node: LatexMacroNode, argument: int) -> str:
    """An argument as it is written."""
    arguments = [each for each in (node.nodeargd.argnlist if node.nodeargd else None) or () if each is not None]
    return re.sub(r"^\{|\}$", "", arguments[argument].latex_verbatim()).replace("\\", "") if arguments else ""


def _split(nodes: Sequence[Any], ends: Any) -> list[list[Any]]:
    parts = [list[Any]()]
    for node in nodes:
        if ends(node):
            parts.append([])
        else:
            parts[-1].append(node)
    return parts


def _is_row_end(node: Any) -> bool:
    return isinstance(node, LatexMacroNode) and node.macroname in ("\\", "tabularnewline")


def _is_cell_end(node: Any) -> bool:
    return isinstance(node, LatexSpecialsNode) and node.specials_chars == "&"
