"""LaTeX: sections, listings, tables, lists, signs."""

import pytest

from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks

SOURCE = r"""\documentclass{article}
\newcommand{\product}{Stoa}
\title{The Guide} \author{Ada \and Bob}
\begin{document}
\maketitle
\section{Install} \label{sec:i} Words of \product{} here. % comment

Second paragraph.
\subsection*{Deep}
\begin{itemize} \item one \item two \begin{enumerate}\item in \end{enumerate} \end{itemize}
\begin{lstlisting}[language=Python]
def f(x):  # 100%
    return {x}
\end{lstlisting}
\begin{table}\caption{Prices}
\begin{tabular}{lll} \hline A & B & C \\ \hline 1 & \multicolumn{2}{l}{2} \\
\multirow{2}{*}{3} & 4 & 5 \\ & 6 & 7 \\ \end{tabular}\end{table}
\input{/etc/passwd}
\end{document}"""


def test_structure() -> None:
    made = parsed(SOURCE, "a.tex")
    assert made.title == "The Guide"
    assert blocks(made) == [
        ("heading", "The Guide"),
        ("paragraph", "Ada, Bob"),
        ("heading", "Install"),
        ("paragraph", "Words of Stoa here."),
        ("paragraph", "Second paragraph."),
        ("heading", "Deep"),
        ("list", "- one\n- two\n  1. in"),
        ("code", "def f(x):  # 100%\n    return {x}"),
        ("paragraph", "Prices"),
        ("table", "| A | B | C |\n| 1 | 2 | 2 |\n| 3 | 4 | 5 |\n| 3 | 6 | 7 |"),
    ]
    assert made.blocks[-1].headings == ("The Guide", "Install", "Deep")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"\emph{it} \textbf{bold \textit{x}} {\large big} \unknown{kept}", "it bold x big kept"),
        (r"M\"uller \'e \ss{} ``quoted'' a--b---c 5\,\% \& \$ \_", "Müller é ß “quoted” a–b—c 5 % & $ _"),
        (r"10\textsuperscript{6}, $10^6$, $\frac{1}{2}$, \sout{90} 120", "10⁶, 10^6, 1/2, ~~90~~ 120"),
        (r"\href{https://x.example/a\_b}{here} \url{https://y.example/a_b}", "here (https://x.example/a_b) https://y.example/a_b"),
        (r"a\footnote{Net.} \cite{knuth} \verb|a_b{c}|", "a (Net.) [knuth] a_b{c}"),
        (r"\begin{description}\item[Term] meaning\end{description}", "- Term: meaning"),
        (r"open { group \begin{itemize} \item x", "open group"),
    ],
)
def test_markup(source: str, text: str) -> None:
    assert parsed(source, "a.tex").text.startswith(text)
