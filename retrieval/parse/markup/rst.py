"""reStructuredText, by docutils: rendered to HTML and read as such. Nothing is included from other files."""

import re
from collections.abc import Sequence
from typing import Any

from docutils import nodes
from docutils.core import publish_doctree, publish_from_doctree
from docutils.parsers.rst import Directive, directives, roles
from docutils.parsers.rst.languages import en

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.web import html

_SETTINGS = {
    "_disable_config": True,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "report_level": 3,  # errors, whose source is read as it stands
    "halt_level": 5,
    "warning_stream": False,
    "output_encoding": "unicode",
    "doctitle_xform": False,
    "syntax_highlight": "none",
    "math_output": "LaTeX",
    "line_length_limit": 10**9,
    "embed_stylesheet": False,
    "initial_header_level": 1,
}
_DIRECTIVE = re.compile(r"^[ \t]*\.\.[ \t]+(?:\|[^|\n]+\|[ \t]+)?([\w:.+-]+?)::(?=\s|$)", re.M)
_ROLE = re.compile(r":([a-zA-Z][\w:.+-]*):`")
_WITHOUT_TEXT = frozenset(
    ("toctree", "index", "highlight", "currentmodule", "py:currentmodule", "meta", "tabularcolumns", "include", "raw", "default-role")
)
_CODE = frozenset(("code", "code-block", "sourcecode", "parsed-literal", "ipython", "prompt", "console", "doctest", "testcode"))
_NOTES = re.compile(r"(</?)aside\b")  # admonitions and footnotes, which belong to the text
_TARGET = re.compile(r"\s*<[^<>]*>$")  # of `text <target>`


def read(data: bytes, builder: DocumentBuilder) -> None:
    source = read_text(data, builder.add_note)
    _know_the_names_in(source)
    tree = publish_doctree(source, settings_overrides=_SETTINGS)
    for message in list(tree.findall(nodes.system_message)):
        message.parent.replace(message, list(message.findall(nodes.literal_block)))
    tree["title"] = _title(tree)
    page = publish_from_doctree(tree, writer="html5", settings_overrides=_SETTINGS)
    html.write(_NOTES.sub(r"\1div", str(page)), builder)


def _title(tree: nodes.document) -> str:
    """The heading above everything, if there is one. Never empty: docutils would take the name of the file."""
    sections = [node for node in tree.children if isinstance(node, nodes.section)]
    return sections[0][0].astext() if len(sections) == 1 else " "


class _AnyOptions(dict[str, Any]):
    """The options of a directive of which nothing is known."""

    def __missing__(self, name: str) -> Any:
        return directives.unchanged


class _OtherDirective(Directive):
    """A directive of other programs, such as Sphinx: its argument and its content are text."""

    optional_arguments, final_argument_whitespace, has_content = 1, True, True
    option_spec = _AnyOptions(name=directives.unchanged)

    def run(self) -> Sequence[nodes.Node]:
        if self.name in _WITHOUT_TEXT:
            return []
        shown = nodes.container()
        if self.arguments:
            shown += nodes.paragraph("", "", *self.state.inline_text(self.arguments[0], self.lineno)[0])
        self.state.nested_parse(self.content, self.content_offset, shown)
        return [shown]


def _other_role(name: str, rawtext: str, text: str, *_: Any, **__: Any) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """A role of other programs, such as :ref:`text <target>`."""
    return [nodes.inline(rawtext, _TARGET.sub("", text).lstrip("~!"))], []


class _Code(Directive):
    """A listing, with the options of any program."""

    optional_arguments, final_argument_whitespace, has_content = 1, True, True
    option_spec = _AnyOptions(caption=directives.unchanged)

    def run(self) -> Sequence[nodes.Node]:
        caption = [nodes.paragraph("", self.options["caption"])] if self.options.get("caption") else []
        code = "\n".join(self.content)
        return [*caption, nodes.literal_block(code, code)]


def _know_the_names_in(source: str) -> None:
    """Docutils leaves out what it does not know."""
    for name in set(_DIRECTIVE.findall(source)):
        if name in _CODE:
            directives.register_directive(name, _Code)
        elif name in _WITHOUT_TEXT or name.lower() not in en.directives:
            directives.register_directive(name, _OtherDirective)
    for name in set(_ROLE.findall(source)):
        if name.lower() not in en.roles:
            roles.register_local_role(name, _other_role)  # pyright: ignore[reportArgumentType] - its stub wants references only
