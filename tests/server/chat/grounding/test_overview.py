"""Which messages ask for an overview."""

import pytest

from server.chat.grounding.overview import asks_for_overview

NAMES = ["leave.md", "Report Q3.pdf"]


@pytest.mark.parametrize(
    "message",
    [
        "What is this document about?",
        "what's this document about",
        "What are these documents about?",
        "Summarize the documents.",
        "Please summarise the uploaded files briefly",
        "Give me a short summary",
        "Can you give me an overview of all files?",
        "TL;DR",
        "What does the report contain?",
        "What is in the PDF?",
        "Summarize leave.md",
        "What is Report Q3.pdf about?",
        "Describe the contents of the attached paper",
        "What are the main topics of the text?",
        "Worum geht es in diesem Dokument?",
        "Fasse die Dokumente kurz zusammen.",
        "De quoi parle ce document ?",
        "Résume le document",
        "¿De qué trata este documento?",
        "Resume los archivos",
        "Di cosa parla questo documento?",
        "Sobre o que é este documento?",
        "Waar gaat dit document over?",
        "О чём этот документ?",
        "总结一下这些文档",
        "この文書の要約",
        "이 문서를 요약해 주세요",
    ],
)
def test_overview(message: str) -> None:
    assert asks_for_overview(message, NAMES, first=True)


@pytest.mark.parametrize(
    "message",
    [
        "What is the document about dragons?",
        "Summarize the leave policy",
        "How long do dragons live?",
        "What does the report say about revenue?",
        "Where is the file?",
        "Worum geht es in Kapitel 3?",
        "Summarize",
        "总结一下利润",
        "",
        "what about it " * 50,
    ],
)
def test_a_question(message: str) -> None:
    assert asks_for_overview(message, NAMES, first=True) == (message == "Summarize")


def test_what_refers_to_the_conversation() -> None:
    assert not asks_for_overview("Can you summarize this?", NAMES, first=False)
    assert asks_for_overview("Can you summarize the documents?", NAMES, first=False)
    assert asks_for_overview("Can you summarize leave.md?", NAMES, first=False)
