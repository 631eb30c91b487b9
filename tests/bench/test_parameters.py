"""docs/parameters.md says what the types say."""

from bench.parameters import PAGE, page


def test_the_page_is_as_the_types_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "make it anew: python -m bench.parameters"


def test_each_fate_is_told() -> None:
    text = page()
    for line in (
        "| `temperature` | honoured |",
        "| `bad_words` | honoured |",
        "| `verbosity` | no effect: this model cannot be told how much to say; without a warning: `medium` |",
        "| `cache_salt` | refused |",
        "| `mirostat` | only `0` |",
        "| `container` | refused |",
    ):
        assert line in text
