"""Page numbers and running titles are left out; what else stands at the edges of pages is text."""

from collections.abc import Iterable

from retrieval.api import Document
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.pdf_file import pdf, text

BODY = "The pump is checked by two people before it runs again after the winter break."


def read(pages: Iterable[str]) -> Document:
    return parsed(pdf(pages), "a.pdf")


def page_text(document: Document, page: int) -> str:
    return " ".join(document.text[block.start : block.end] for block in document.blocks if block.page == page)


def test_numbers_of_forms_and_letters_are_text_wherever_they_stand() -> None:
    numbers = [20417 + 31 * page for page in range(6)]
    made = read(
        text(60, 740, f"Invoice no. {number}")
        + text(60, 680, f"For services in week {page}.")
        + text(60, 200, f"Amount due: {page}00.50 EUR")
        for page, number in enumerate(numbers, 1)
    )
    for page, number in enumerate(numbers, 1):
        assert f"Invoice no. {number}" in page_text(made, page) and f"Amount due: {page}00.50 EUR" in page_text(made, page)


def test_consecutive_numbers_of_other_things_are_no_page_numbers() -> None:
    made = read(text(60, 750, f"Invoice no. {1000 + page}") + text(60, 600, BODY) + text(60, 40, f"Locker {page}") for page in range(1, 7))
    assert all(f"Invoice no. {1000 + page}" in page_text(made, page) for page in range(1, 7))
    assert all(f"Locker {page}" in page_text(made, page) for page in range(1, 7))


def test_years_and_numbers_of_tickets_are_no_page_numbers() -> None:
    made = read(text(300, 770, str(2019 + page)) + text(60, 500, BODY) + text(300, 30, str(10450 + page)) for page in range(5))
    assert all(page_text(made, page + 1) == f"{2019 + page} {BODY} {10450 + page}" for page in range(5))


def test_a_number_beside_its_label_is_text() -> None:
    made = read(text(60, 750, "Ticket no.") + text(200, 750, str(page)) + text(60, 600, BODY) for page in range(1, 6))
    assert all(page_text(made, page).split(BODY)[0].split()[-1] == str(page) for page in range(1, 6))


def test_values_that_count_like_pages_are_text_where_they_stand_in_a_form() -> None:
    made = read(text(60, 720, "Rack") + text(300, 720, str(n)) + text(60, 700, "Shelf") + text(300, 700, str(n + 3)) for n in range(1, 6))
    assert [page_text(made, page).split() for page in range(1, 6)] == [["Rack", str(n), "Shelf", str(n + 3)] for n in range(1, 6)]


def test_the_same_value_on_most_pages_is_text_where_it_may_differ() -> None:
    amounts = ["10.00", "10.00", "10.00", "10.00", "35.00", "10.00"]
    made = read(text(60, 600, BODY) + text(60, 50, f"Amount due: {amount} EUR") for amount in amounts)
    assert [f"Amount due: {amount} EUR" in page_text(made, page) for page, amount in enumerate(amounts, 1)] == [True] * 6


def test_page_numbers_are_left_out() -> None:
    forms = ("{0}", "- {0} -", "Page {0}", "Page {0} of 5", "{0} / 5", "Seite {0} von 5")
    for form in forms:
        made = read(text(60, 600, BODY) + text(300, 40, form.format(page)) for page in range(1, 6))
        assert [page_text(made, page) for page in range(1, 6)] == [BODY] * 5, form


def test_page_numbers_may_begin_later_and_in_roman_numerals() -> None:
    made = read(text(60, 600, BODY) + text(300, 40, number) for number in ("i", "ii", "iii", "iv", "1", "2", "3", "4"))
    assert [page_text(made, page) for page in range(1, 9)] == [BODY] * 8


def test_running_titles_stay_where_they_first_stand() -> None:
    made = read(text(60, 750, "Contract HX-2291") + text(500, 750, str(page)) + text(60, 600, BODY) for page in range(1, 7))
    assert made.text.count("Contract HX-2291") == 1 and "Contract HX-2291" in page_text(made, 1)
    assert page_text(made, 4) == BODY


def test_a_title_with_a_named_page_number_is_a_running_title() -> None:
    made = read(text(60, 750, f"Handbook, page {page} of 6") + text(60, 600, BODY) for page in range(1, 7))
    assert [page_text(made, page) for page in range(2, 7)] == [BODY] * 5


def test_titles_of_chapters_run_on_their_pages_alone() -> None:
    titles = ["Pumps"] * 6 + ["Valves"] * 6 + ["Tanks"] * 6
    made = read(text(60, 750, title) + text(60, 600, BODY) for title in titles)
    assert [made.text.count(title) for title in ("Pumps", "Valves", "Tanks")] == [1, 1, 1]


def test_no_page_becomes_empty() -> None:
    labels = read(text(60, 700, f"Locker {page}: key {37 * page} belongs to badge B-{page:04}") for page in range(5))
    assert [page_text(labels, page + 1) for page in range(5)] == [f"Locker {p}: key {37 * p} belongs to badge B-{p:04}" for p in range(5)]
    bare = read(text(300, 40, str(page)) for page in range(1, 6))
    assert [page_text(bare, page) for page in range(1, 6)] == ["1", "2", "3", "4", "5"]
    titled = read([text(60, 750, "Annual report")] * 5)
    assert [page_text(titled, page) for page in range(1, 6)] == ["Annual report"] * 5
