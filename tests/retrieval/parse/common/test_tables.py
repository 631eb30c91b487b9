"""A table is a grid: spans are laid out before names are bound, and no row is bound to what is no name."""

import pytest

from retrieval.parse.common import tables
from retrieval.parse.common.grid import MAX_REPEATED, MAX_REPEATED_TOTAL, Cell, lay_out, texts
from tests.retrieval.parse.test_formats import parsed


def grid(*rows: list[Cell]) -> list[list[str]]:
    return [texts(row) for row in lay_out(rows)]


def plain(*rows: str) -> list[list[Cell]]:
    return [[Cell(text) for text in row.split("|")] for row in rows]


def test_spans_cover_positions() -> None:
    assert grid([Cell("a", rows=3), Cell("b")], [Cell("c")], [Cell("d")]) == [["a", "b"], ["a", "c"], ["a", "d"]]
    assert grid([Cell("a"), Cell("b"), Cell("c")], [Cell("d", columns=2), Cell("e")]) == [["a", "b", "c"], ["d", "d", "e"]]
    assert grid([Cell("a", rows=2, columns=2), Cell("b")], [Cell("c")], plain("x|y|z")[0]) == [
        ["a", "a", "b"],
        ["a", "a", "c"],
        ["x", "y", "z"],
    ]
    assert grid([Cell("a", rows=0), Cell("b")], [Cell("c")], [Cell("d")])[2] == ["a", "d"]


def test_columns_in_which_no_cell_begins_are_dropped() -> None:
    assert grid([Cell("a", columns=3), Cell("b", columns=2)], [Cell("c", columns=3), Cell("d", columns=2)]) == [["a", "b"], ["c", "d"]]


def test_a_cell_across_the_whole_width_stands_once() -> None:
    assert grid([Cell("Part one", columns=2)], [Cell("a"), Cell("b")]) == [["Part one"], ["a", "b"]]


def test_spans_repeat_a_bounded_amount_of_text() -> None:
    long = "x" * (MAX_REPEATED + 1)
    assert grid([Cell(long, rows=2), Cell("b")], [Cell("c")])[1] == ["", "c"]
    bomb = [[Cell("y" * MAX_REPEATED, rows=0, columns=60_000)]] + [[] for _ in range(200)] + [[Cell("z") for _ in range(3)]]
    assert sum(len(text) for row in grid(*bomb) for text in row) < 2 * MAX_REPEATED_TOTAL


def test_names_are_bound_after_spans() -> None:
    rows = [[Cell("Region"), Cell("Product"), Cell("Units")]]
    for number in range(4):
        rows += [[Cell(f"R{number}", rows=3), Cell("Apples"), Cell("1")], [Cell("Pears"), Cell("2")], [Cell("Plums", columns=2)]]
    made = tables.render(rows).split("\n")
    assert made[1] == "Region: R0; Product: Pears; Units: 2" and made[2] == "Region: R0; Product: Plums; Units: Plums"


@pytest.mark.parametrize("marked", [True, False])
def test_two_rows_of_names(marked: bool) -> None:
    head = [
        [Cell("Month", 2, 1, marked), Cell("North", 1, 2, marked), Cell("South", 1, 2, marked)],
        [Cell(name, heading=marked) for name in ("Sold", "Returned") * 2],
    ]
    made = tables.render([*head, *([Cell(f"M{row}"), *(Cell(str(row * 10 + at)) for at in range(4))] for row in range(10))])
    assert made.split("\n")[1] == "Month: M1; North Sold: 10; North Returned: 11; South Sold: 12; South Returned: 13"


def test_parts_of_a_table_keep_their_titles() -> None:
    rows = [*plain("Item|Price|Stock"), *([Cell(f"I{row}"), Cell("1.5"), Cell("2")] for row in range(9))]
    rows.insert(4, [Cell("Second hand", columns=3)])
    assert tables.render(rows).split("\n")[3] == "Second hand"


def lines(text: str, filename: str = "a.csv") -> list[str]:
    return parsed(text, filename).text.split("\n")


@pytest.mark.parametrize(
    "rows",
    [
        "Supplier,Aalto Oy\nContact,Mia Salo\nVAT number,FI-4471\nPayment terms,30 days net\n",
        "Supplier:,Contact:\n".replace("Contact:", "Aalto Oy") + "Contact:,Mia Salo\nCity:,Turku\n",
        "Rooms,4\nFloor,2\nArea,81 m2\n",
        "Supplier,12 High Street\nContact,Mia Salo\nPhone,555-1234\n",
        "Lot,2026-04-11\nBatch,2026-04-12\n",
    ],
)
def test_labels_beside_values(rows: str) -> None:
    label, value = rows.split("\n")[0].split(",")
    assert lines(rows)[0] == f"{label.rstrip(':')}: {value}"


def test_two_dates_below_a_value_do_not_make_it_a_name() -> None:
    assert lines("Customer,Birch AS\nDate,2026-03-02\nValid until,2026-04-02\n")[0] == "| Customer | Birch AS |"


def test_labels_and_values_take_turns() -> None:
    assert lines("Name:,Ada,Born:,1815\nCity:,London,Died:,1852\n") == ["Name: Ada; Born: 1815", "City: London; Died: 1852"]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("City,People\nUlm,126000\nBonn,330000\n", "City: Ulm; People: 126000"),
        ("Key,Name\n1,Ada\n2,Alan\n", "Key: 1; Name: Ada"),
        ("Country,2023,2024\nPeru,4,82\nChad,5,90\n", "Country: Peru; 2023: 4; 2024: 82"),
        (",1,2,3\nPeru,4,82,1\nChad,5,90,3\n", "Peru; 1: 4; 2: 82; 3: 1"),
        ("Station,2024-01,2024-02\nX1,4,8\nX2,7,9\n", "Station: X1; 2024-01: 4; 2024-02: 8"),
        ("2023,2024,2025\n1,2,3\n4,5,6\n", "2023: 1; 2024: 2; 2025: 3"),
        ("Name,Score,Score\nAda,1,2\nAlan,3,4\n", "Name: Ada; Score: 1; Score: 2"),
        ("Made on 2 May\nItem,Units,Place\nRope,4,Ulm\nTar,5,Bonn\n", "Made on 2 May"),
    ],
)
def test_names_above_values(text: str, first: str) -> None:
    assert lines(text)[0] == first


@pytest.mark.parametrize(
    "text",
    [
        "Anna,Sales,London\nBob,Sales,Paris\nCarl,Stock,Rome\n",
        "A-17,Rope,Ulm\nA-18,Tar,Bonn\nA-19,Oil,Kiel\n",
        "1990,2001\n1991,2002\n",
        "Ada,1815,1852\nAlan,1912,1954\n",
        "Name,City\nAda,London\nAlan,Paris\n",
        "Employee,Ada\nPeriod,2026-05\n",
        "Name,Ada\nCode,K-7\nReference,K-8\n",
    ],
)
def test_rows_whose_names_are_in_doubt_are_bound_to_none(text: str) -> None:
    assert lines(text) == [f"| {row.replace(',', ' | ')} |" for row in text.strip().split("\n")]


@pytest.mark.parametrize(
    "text",
    [
        "Bericht erstellt am 2026-01-05, Abteilung Lager\n\nArtikel;Menge;Preis\nAnker;2;1.234,50\n",
        "Artikel;Menge;Preis\nAnker;2;1.234,50\n",
        "sep=;\nArtikel;Menge;Preis\nAnker;2;1.234,50\n",
        'Artikel;Menge;Preis\n"Anker";2;"1.234,50"\n',
    ],
)
def test_the_separator_is_what_most_lines_agree_on(text: str) -> None:
    assert lines(text)[-1] == "Artikel: Anker; Menge: 2; Preis: 1.234,50"


def test_commas_remain_separators_where_other_signs_stand_in_all_rows_but_the_names() -> None:
    assert lines("name,tags,n\nrope,a;b,1\ntar,c;d,2\n")[0] == "name: rope; tags: a;b; n: 1"


def test_names_of_empty_columns_follow_the_rows() -> None:
    assert lines("Name,Fax,Born\nAda,,1815\nAlan,,1912\n")[1:] == ["Name: Alan; Born: 1912", "Empty columns: Fax"]


def test_forms_side_by_side() -> None:
    assert lines("Supplier,Aalto,,Buyer,Nordia\nContact,Mia,,Contact,Per\nPhone,555-1,,Phone,\n") == [
        "Supplier: Aalto; Buyer: Nordia",
        "Contact: Mia; Contact: Per",
        "Phone: 555-1; Phone",
    ]


def test_numbers_with_exponents_stand_below_names() -> None:
    assert lines("Name,Score\nAda,1e-07\nBob,123.5\n")[0] == "Name: Ada; Score: 1e-07"
