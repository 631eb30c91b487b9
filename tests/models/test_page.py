"""docs/models.md says what the families and their tests say."""

from tests.models.page import PAGE, page


def test_the_page_is_true() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.models.page"
