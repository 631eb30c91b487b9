"""Org mode: headings, listings, tables, lists and links."""

from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks

SOURCE = """#+TITLE: The Guide
* TODO Install :tag:new:
DEADLINE: <2026-05-08 Fri>
:PROPERTIES:
:ID: 123
:END:
Run /this/ *now*, see [[https://x.example/a][here]],
10^{6} and +90+ 120, a/b/c, https://x.example/b/c.
#+BEGIN_SRC python
def f(x):
    return x
#+END_SRC
| Item | Price |
|------+-------|
| A    | 90    |
** Sub
- one
  - inner
    more
- two
1. first
2. second
# comment
: fixed  width
- Term :: meaning
"""


def test_structure() -> None:
    made = parsed(SOURCE, "a.org")
    assert made.title == "The Guide"
    assert blocks(made) == [
        ("paragraph", "The Guide"),
        ("heading", "TODO Install"),
        ("paragraph", "Tags: tag, new"),
        ("paragraph", "DEADLINE: <2026-05-08 Fri>"),
        ("paragraph", "Run this now, see here (https://x.example/a), 10⁶ and ~~90~~ 120, a/b/c, https://x.example/b/c."),
        ("code", "def f(x):\n    return x"),
        ("table", "| Item | Price |\n| A | 90 |"),
        ("heading", "Sub"),
        ("list", "- one\n  - inner more\n- two"),
        ("list", "1. first\n2. second"),
        ("code", "fixed  width"),
        ("list", "- Term: meaning"),
    ]
    assert made.blocks[-1].headings == ("TODO Install", "Sub")
