"""Values of Word's legacy form fields that are not part of the text: check boxes and lists to choose from (ECMA-376 part 1, 17.16)."""

from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.office.word.styles import VALUE, path, switched_on, value_of

CHECKED, UNCHECKED = "☒", "☐"


def form_value(sign: Element) -> str:
    """`sign`: the w:fldChar that begins the field. "" for other fields."""
    box, choices = sign.find(path("w:ffData/w:checkBox")), sign.find(path("w:ffData/w:ddList"))
    if box is not None:
        state = switched_on(box.find(qn("w:checked")))
        return CHECKED if (switched_on(box.find(qn("w:default"))) if state is None else state) else UNCHECKED
    if choices is None:
        return ""
    entries = [entry.get(VALUE, "") for entry in choices.iterchildren(qn("w:listEntry"))]
    chosen = value_of(choices, "w:result") or value_of(choices, "w:default") or "0"
    return entries[int(chosen)] if chosen.isdecimal() and int(chosen) < len(entries) else ""
