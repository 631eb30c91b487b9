"""Plain text: what its spaces mean. Notebooks: what their cells put out."""

import json

import pytest

from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks

COLUMNS = "Item        Qty   Price\nAnchor        2   1234.50\nChain               8.50\nRope         12   0.99"
CODE = "def f(x):\n    if x:\n        return 1\n    return 2"
TRACE = '2026-01-02 ERROR failed\nTraceback (most recent call last):\n  File "a.py", line 3, in f\n    g(x)\nValueError: 42'
TABS = "Name\tAge\nAda\t36\nAlan\t41"


@pytest.mark.parametrize("text", [COLUMNS, CODE, TRACE, TABS])
@pytest.mark.parametrize("ending", ["txt", "log"])
def test_columns_and_indentation_are_kept(text: str, ending: str) -> None:
    made = parsed(f"Before.\n\n{text}\n\nAfter.", f"a.{ending}")
    assert blocks(made) == [("paragraph", "Before."), ("code", text), ("paragraph", "After.")]


def test_code_keeps_its_indentation_across_empty_lines() -> None:
    text = "Run this:\n\n    def f():\n        x = 1\n\n        return x\n\n    f()\n"
    assert parsed(text, "a.txt").text == "Run this:\n\n    def f():\n        x = 1\n\n        return x\n\n    f()"


@pytest.mark.parametrize(
    "prose", ["   It was a dark\nand stormy  night.\nRain fell.", "One  line.\nTwo  lines.", "    Quoted words\n    go on."]
)
def test_prose_stays_prose(prose: str) -> None:
    made = parsed(prose, "a.txt")
    assert [kind for kind, _ in blocks(made)] == ["paragraph"] and "  " not in made.text


def test_colours_of_a_terminal_are_not_text() -> None:
    assert parsed("\x1b[31;1mERROR\x1b[0m disk \x1b]0;title\x07full", "a.log").text == "ERROR disk full"


def test_outputs_of_notebooks() -> None:
    outputs = [
        {"output_type": "error", "ename": "ValueError", "evalue": "bad input 42", "traceback": ["\x1b[31mValueError"]},
        {"output_type": "stream", "text": ["\x1b[1mdone\x1b[0m\n"]},
        {"output_type": "display_data", "data": {"text/html": "<table><tr><th>K<th>V<tr><td>y<td>77.1</table>"}},
        {"output_type": "display_data", "data": {"text/markdown": ["**Sum** 5"]}},
        {"output_type": "display_data", "data": {"text/latex": "$x^2$", "image/png": "iVBOR"}},
        {"output_type": "stream", "text": "long " * 1_000},
    ]
    cells = [{"cell_type": "code", "source": "f()", "outputs": outputs}, {"cell_type": "raw", "source": "raw text"}]
    made = parsed(json.dumps({"cells": cells, "nbformat": 4}), "a.ipynb")
    texts = [text for _, text in blocks(made)]
    assert texts[:6] == ["f()", "ValueError: bad input 42", "done", "| K | V |\n| y | 77.1 |", "Sum 5", "$x^2$"]
    assert texts[-1] == "raw text" and "cut" in made.notes[0]


def test_notebooks_of_the_older_format() -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Yield"]},
        {"cell_type": "code", "input": "1 + 1", "outputs": [{"output_type": "pyout", "text": ["2"]}]},
    ]
    made = parsed(json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3}), "a.ipynb")
    assert blocks(made) == [("heading", "Yield"), ("code", "1 + 1"), ("code", "2")]
