"""What a reader sees in the fields of a form: text, choices, marks."""

from lxml import html

_WITHOUT_TEXT = ("hidden", "password", "submit", "reset", "button", "image", "file", "range", "color")
CHECKED, UNCHECKED = "☒", "☐"


def shown_value(element: html.HtmlElement) -> str:
    """Of an `input`, `textarea` or `select`."""
    if element.tag == "textarea":
        return f" {element.text_content()} "
    if element.tag == "select":
        chosen = (option.text_content() for option in element.iter("option") if option.get("selected") is not None)
        return f" {', '.join(map(str.strip, chosen))} "
    kind = element.get("type", "text").lower()
    if kind in ("checkbox", "radio"):
        return f"{CHECKED if element.get('checked') is not None else UNCHECKED} "
    return "" if kind in _WITHOUT_TEXT else f" {element.get('value', '')} "
