"""Codes, numbers and names: what a claim must share with its source, and what no passage holds."""

import pytest

from retrieval.citations.identifiers import Source, identifiers, unknown_codes

PARTS = "The part PPR-9009 is a bracket for rack 9. The part PPR-9010 weighs 150 g. It is made of steel."
OFFICES = "Omar Reyes leads the Turin office. Ana Lima leads the Lisbon office since 2011."


@pytest.mark.parametrize(
    ("claim", "sentence", "passage"),
    [
        ("The part PPR-9999 is a bracket for rack 9.", "The part PPR-9009 is a bracket for rack 9.", PARTS),
        ("The part PPR-9009 weighs 150 g.", "The part PPR-9010 weighs 150 g.", PARTS),
        ("PPR9999 is made of steel.", "It is made of steel.", PARTS),
        ("The Lisbon office is led by Omar Reyes.", "Omar Reyes leads the Turin office.", OFFICES),
        (
            "Error 0x80070099 means that access is denied.",
            "Error 0x80070005 means that access is denied.",
            "Error 0x80070005 means that access is denied.",
        ),
    ],
)
def test_a_source_about_something_else(claim: str, sentence: str, passage: str) -> None:
    assert Source(sentence, passage, "", "en").contradicts(identifiers(claim, "en"))


@pytest.mark.parametrize(
    ("claim", "sentence", "passage", "above"),
    [
        ("The part ppr 9010 weighs 150 g.", "The part PPR-9010 weighs 150 g.", PARTS, ""),
        ("PPR9010 is made of steel.", "It is made of steel.", PARTS, ""),
        ("The PPR-9010 is made of steel.", "It is made of steel.", "It is made of steel.", "PPR-9010.md"),
        ("The Lisbon office is led by Ana Lima.", "Ana Lima leads the Lisbon office since 2011.", OFFICES, ""),
        ("Since 2011 it is led by Ana Lima.", "Ana Lima leads the Lisbon office since 2011.", OFFICES, ""),
        ("The Stoa was opened by Mayor Adams.", "Mayor Adams opened it in May.", "Mayor Adams opened it in May.", "Stoa"),
        ("It costs 1200 EUR.", "It costs 1,200 EUR.", "It costs 1,200 EUR.", ""),
    ],
)
def test_a_source_that_may_support_it(claim: str, sentence: str, passage: str, above: str) -> None:
    assert not Source(sentence, passage, above, "en").contradicts(identifiers(claim, "en"))


def test_german_nouns_are_no_names() -> None:
    quote = "Die Frist für eine Kündigung beträgt drei Monate."
    assert not Source(quote, quote, "", "de").contradicts(identifiers("Der Vertrag endet nach drei Monaten.", "de"))


@pytest.mark.parametrize(
    "question",
    ["What weighs PPR-9999?", "what weighs ppr9999", "what weighs ppr 9999?", "What does error 0x80070099 mean?", "and invoice 20448?"],
)
def test_a_code_that_no_passage_holds(question: str) -> None:
    assert unknown_codes(question, [PARTS, "Error 0x80070005: access denied.", "Invoice no. 20417"])


@pytest.mark.parametrize(
    "question",
    [
        "What weighs PPR-9010?",
        "What weighs ppr 9010?",
        "Compare PPR9009 and PPR-9999.",
        "What happened in 2024?",
        "Is the 10kg one cheap, or the 250ml one?",
        "What was the revenue in Q3 2024?",
        "Which is the 21st part?",
        "Who won at 10:30?",
        "Is it more than 1,000,000 EUR?",
        "top 10 parts",
        "PPR-9010",
        "see log: A1234 B2345 C3456 D4567 what is wrong",
        "",
    ],
)
def test_what_may_be_answered(question: str) -> None:
    assert not unknown_codes(question, [PARTS, OFFICES, "Invoice no. 20417"])
