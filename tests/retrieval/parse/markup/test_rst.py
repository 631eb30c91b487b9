"""reStructuredText: its structure, and all of its text, also what docutils does not know."""

from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks


def test_structure() -> None:
    source = (
        "Install\n=======\n\nRun this::\n\n    def f(x):\n        return x\n\n.. note:: Keep it dry.\n\nUse\n---\n\nPress the button.\n"
    )
    made = parsed(source, "a.rst")
    assert blocks(made) == [
        ("heading", "Install"),
        ("paragraph", "Run this:"),
        ("code", "def f(x):\n    return x"),
        ("paragraph", "Note"),
        ("paragraph", "Keep it dry."),
        ("heading", "Use"),
        ("paragraph", "Press the button."),
    ]
    assert made.title == "Install" and made.blocks[-1].headings == ("Install", "Use") and made.notes == ()


def test_tables_lists_links_and_positions() -> None:
    source = (
        "======  =====\nItem    Price\n======  =====\nAnchor  90\nChain\n======  =====\n\n3. three\n4. four\n\n"
        "10\\ :sup:`6` H\\ :sub:`2`\\ O, see `here <https://x.example/a>`_ [1]_ and |it|.\n\n.. |it| replace:: that\n.. [1] Net.\n"
    )
    text = parsed(source, "a.rst").text
    assert text.startswith("| Item | Price |\n| Anchor | 90 |\n| Chain |  |\n\n3. three\n4. four\n\n")
    assert "10⁶ H₂O, see here (https://x.example/a) [1] and that." in text and text.endswith("Net.")


def test_directives_and_roles_of_other_programs() -> None:
    source = (
        ".. code-block:: python\n   :linenos:\n   :caption: Listing\n\n   x = 1\n\n.. versionadded:: 1.2\n   Added the *thing*.\n\n"
        ".. py:function:: send(a, b)\n   :async:\n\n   Sends :ref:`it <label>` by :class:`~a.b.C`.\n\n.. toctree::\n\n   other\n"
    )
    assert parsed(source, "a.rst").text == "Listing\n\nx = 1\n\n1.2 Added the thing.\n\nsend(a, b)\n\nSends it by a.b.C."


def test_what_is_malformed_is_read_as_it_stands() -> None:
    table = "=====  ====\nItem   Price\n=====  ====\nAnchor 90\n=====  ===="
    made = parsed(f"Before.\n\n{table}\n\nAfter *it.\n\n.. image::\n\n=====\n", "a.rst")
    assert "Anchor 90" in made.text and "After *it." in made.text and "Before." in made.text


def test_nothing_is_included() -> None:
    source = ".. include:: /etc/passwd\n\n.. raw:: html\n   :file: /etc/passwd\n\n.. csv-table:: T\n   :file: /etc/passwd\n\nText.\n"
    assert "root:" not in parsed(source, "a.rst").text
