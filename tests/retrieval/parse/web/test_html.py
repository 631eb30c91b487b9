"""What elements of HTML and Markdown add to their text: positions, strokes, targets, numbers, spans."""

import pytest

from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("10<sup>6</sup> units, 500<sup>1</sup> EUR, 25 m<sup>2</sup>, Log<sub>10</sub>", "10⁶ units, 500¹ EUR, 25 m², Log₁₀"),
        ("10<sup>\n 6\n</sup> units", "10⁶ units"),
        ("the 1<sup>st</sup>, x<sub>k</sub>, price<sup>*</sup>, 12<sup><a href='#n4'>[4]</a></sup>", "the 1st, x_k, price*, 12[4]"),
        ('10<span style="vertical-align: super">6</span>', "10⁶"),
        ('10<span style="vertical-align:.4em">6</span>', "10⁶"),
        ('10<span style="position:relative;top:-0.33em">6</span> H<span style="position:relative; bottom: -2px">2</span>O', "10⁶ H₂O"),
        ('10<span style="position:relative;top:0">6</span>, 10<span style="vertical-align:baseline">6</span>', "106, 106"),
        ("<del>90</del> <ins>120</ins>, <s>45</s> 60, <strike>gone</strike>", "~~90~~ 120, ~~45~~ 60, ~~gone~~"),
        ('<span style="text-decoration: line-through">90</span> 120', "~~90~~ 120"),
        ("<ruby>東<rt>とう</rt>京<rt>きょう</rt></ruby>の<ruby>倉庫<rp>(</rp><rt>そうこ</rt><rp>)</rp></ruby>", "東京の倉庫"),
        ("<ruby><rb>東<rb>京<rt>とう<rt>きょう</ruby>へ", "東京へ"),
        ("He said <q>no</q>.", "He said “no”."),
        ("<math><mfrac><mn>1</mn><mn>2</mn></mfrac></math> cup", "1/2 cup"),
        ("<math><msup><mi>x</mi><mn>2</mn></msup><mo>=</mo><msqrt><mi>a</mi><mo>+</mo><mn>1</mn></msqrt></math>", "x² = √(a+1)"),
        ("<math><semantics><mrow><msub><mi>x</mi><mn>1</mn></msub></mrow>"
         "<annotation encoding='application/x-tex'>x_1</annotation></semantics></math>", "x₁"),
    ],
)  # fmt: skip
def test_positions_and_strokes(source: str, text: str) -> None:
    assert parsed(f"<body><p>{source}</p></body>", "a.html").text == text
    assert text in parsed(f"<table><tr><th>A<th>B<tr><td>{source}<td>1</table>", "a.html").text
    assert parsed(f"<ul><li>{source}</ul>", "a.html").text == f"- {text}"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Get it <a href='https://files.example/v3.zip'>here</a>.", "Get it here (https://files.example/v3.zip)."),
        ("Get it <a href='https://files.example/v3.zip'>here </a>now", "Get it here (https://files.example/v3.zip) now"),
        ("<a href='mailto:ines@x.example'>Write</a> to us", "Write (ines@x.example) to us"),
        ("<a href='//files.example/a'>here</a>", "here (https://files.example/a)"),
        ("<a href='https://x.example/'>https://x.example</a>", "https://x.example"),
        ("<a href='https://www.x.example/'>x.example</a>", "x.example"),
        ("<a href='mailto:ines@x.example'>ines@x.example</a>", "ines@x.example"),
        ("<a href='/local'>a</a> <a href='#part'>b</a> <a href='javascript:run()'>c</a> <a>d</a>", "a b c d"),
        ("<a href='https://x.example/i'><img alt='Plan of hall 3'></a>", "Plan of hall 3 (https://x.example/i)"),
    ],
)
def test_targets_of_links(source: str, text: str) -> None:
    assert parsed(f"<body><p>{source}</p></body>", "a.html").text.strip() == text


@pytest.mark.parametrize(
    "page",
    [
        "<header><a href='https://x.example'>Home</a></header>",
        "<div class='main-menu'><ul><li><a href='https://x.example'>Home</a></ul></div>",
        "<ul role='navigation'><li><a href='https://x.example'>Home</a></ul>",
        "<h2><a href='https://x.example'>Home</a></h2>",
        "<a href='https://x.example'><div>Home</div></a>",
    ],
)
def test_links_of_navigation_and_headings_have_no_targets(page: str) -> None:
    assert "example" not in parsed(f"<body>{page}<p>Text</p></body>", "a.html").text


def test_markdown_links_strokes_and_footnotes() -> None:
    made = parsed(
        '[here](https://files.example/v3.zip "Latest") [ref][r] ~~90~~ 120[^1]\n\n[r]: https://ref.example/x\n[^1]: Net.\n', "a.md"
    )
    assert made.text == "here (https://files.example/v3.zip) ref (https://ref.example/x) ~~90~~ 120[^1]\n\n[^1]: Net."
    assert parsed("<https://x.example> and 10<sup>6</sup>", "a.md").text == "https://x.example and 10⁶"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<ol start=5><li>a<li>b</ol>", "5. a\n6. b"),
        ("<ol><li>a<ul><li>x</ul><li value=7>b<li>c</ol>", "1. a\n  - x\n7. b\n8. c"),
        ("<ol type=a><li>a<li>b</ol>", "a. a\nb. b"),
        ("<ol type=I start=4><li>a<li>b</ol>", "IV. a\nV. b"),
        ("<ol reversed><li>a<li>b</ol>", "2. a\n1. b"),
        ("<ol><ol><li>inner</ol><li>a</ol>", "  1. inner\n1. a"),
        ("<dl><dt>Term<dd>Meaning</dl>", "Term\n  Meaning"),
        ("<ol><li>Run<pre>x = 1</pre><li>Stop</ol>", "1. Run\n\nx = 1\n\n2. Stop"),
    ],
)
def test_numbers_of_lists(source: str, text: str) -> None:
    assert parsed(source, "a.html").text == text


def test_markdown_lists_keep_their_numbers() -> None:
    assert parsed("5. a\n6. b\n", "a.md").text == "5. a\n6. b"
    assert parsed("1. a\n\n   ```\n   x\n   ```\n2. b\n", "a.md").text == "1. a\n\nx\n\n2. b"


def test_spans_of_cells() -> None:
    rows = "".join(f"<tr><td rowspan=3>R{i}<td>Apples<td>{i}1<tr><td>Pears<td>{i}2<tr><td>Plums<td>{i}3" for i in range(1, 5))
    made = parsed(f"<table><tr><th>Region<th>Product<th>Units{rows}</table>", "a.html")
    assert "Region: R1; Product: Pears; Units: 12" in made.text and "Region: R4; Product: Plums; Units: 43" in made.text
    plans = parsed("<table><tr><th>Plan<th colspan=2>Price<th>Seats<tr><td>A<td>10<td>100<td>3</table>", "a.html")
    assert "| A | 10 | 100 | 3 |" in plans.text
    long = "".join(f"<tr><td>P{i}<td>{i}0<td>{i}00<td>{i}" for i in range(1, 12))
    two = "<tr><th rowspan=2>Plan<th colspan=2>Price<th rowspan=2>Seats<tr><th>Month<th>Year"
    assert "Plan: P3; Price Month: 30; Price Year: 300; Seats: 3" in parsed(f"<table>{two}{long}</table>", "a.html").text.replace(
        " / ", " "
    )


def test_a_table_with_code_and_headed_columns_stays_a_table() -> None:
    made = parsed("<table><tr><th>Call<th>Does<tr><td><pre>f(x)</pre><td>runs</table>", "a.html")
    assert blocks(made) == [("table", "| Call | Does |\n| f(x) | runs |")]


def test_preformatted_text_keeps_its_lines() -> None:
    assert parsed("<pre><div>a</div><div>  b</div>c<br>d</pre>", "a.html").text == "a\n  b\nc\nd"
    assert parsed("<pre><span>if x:</span>\n<span>    y</span></pre>", "a.html").text == "if x:\n    y"


ASIDE = "<section><h2>What readers say</h2><article><p>A lovely place.</p></article></section>"


def test_one_article_of_many_parts_is_not_the_page() -> None:
    made = parsed(f"<body><div><h1>Hours</h1><p>Open at 09:15 on weekdays and at 11:00 on Sundays.</p></div>{ASIDE}</body>", "a.html")
    assert "09:15" in made.text and "lovely" in made.text
    made = parsed("<body><p>Open at 09:15 on weekdays.</p><main><p>A note.</p></main></body>", "a.html")
    assert "09:15" in made.text and "A note" in made.text


def test_the_article_that_holds_nearly_all_is_the_page() -> None:
    body = f"<div><a href='/'>Home</a> Share</div><article><p>{'Long text. ' * 20}</p></article><form><label>Search</label></form>"
    made = parsed(f"<body>{body}</body>", "a.html")
    assert "Long text." in made.text and "Search" not in made.text


def test_buttons_that_open_a_section_are_its_heading() -> None:
    heading = "<h3><button aria-expanded=false aria-controls=s1>How long?</button></h3>"
    made = parsed(f"<body>{heading}<div id=s1 hidden><p>Nine days.</p></div><button>Buy</button></body>", "a.html")
    assert blocks(made) == [("heading", "How long?"), ("paragraph", "Nine days.")]


def test_headings_by_role_and_shadow_trees() -> None:
    made = parsed("<div role=heading aria-level=2>Part</div><x-y><template shadowrootmode=open><p>Seen</p></template></x-y>", "a.html")
    assert blocks(made) == [("heading", "Part"), ("paragraph", "Seen")]


def test_cells_and_text_outside_of_rows() -> None:
    made = parsed("<table><caption>Prices</caption><th>Item<th>Price<tr><td>Anchor<td>90<tr><td>Chain<td>8</table>", "a.html")
    assert blocks(made) == [("paragraph", "Prices"), ("table", "| Item | Price |\n| Anchor | 90 |\n| Chain | 8 |")]
    made = parsed("<table>Loose <b>words</b><tr><td>a<td>b<tr><td>c<td>d</table>", "a.html")
    assert "Loose words" in made.text and "| a | b |" in made.text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<label>Policy</label> <input value='PX-7719' readonly>", "Policy PX-7719"),
        ("<input type=checkbox checked> Insured <input type=checkbox> Police", "☒ Insured ☐ Police"),
        ("Colour <select><option>Red<option selected>Blue</select>", "Colour Blue"),
        ("<textarea>Line of a note</textarea>", "Line of a note"),
        ("a<input type=hidden value=no><input type=submit value=no><input type=password value=no>b", "ab"),
        ("<svg><g><text x=1>Axis</text><text><tspan>12.5</tspan></text></g><path d='M0'/></svg>", "Axis 12.5"),
        ("<div style='white-space: pre-wrap'>if x:\n    y</div>", "if x:\n    y"),
    ],
)
def test_fields_drawings_and_fixed_lines(source: str, text: str) -> None:
    assert parsed(f"<body>{source}</body>", "a.html").text.strip() == text


def test_marks_of_task_lists() -> None:
    page = "<ul><li><input type=checkbox checked disabled> done<li><input type=checkbox disabled> open</ul>"
    assert parsed(page, "a.html").text == "- ☒ done\n- ☐ open"
