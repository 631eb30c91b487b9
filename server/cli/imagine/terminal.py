"""In which way the terminal shows pictures: it is asked, as names in variables do not tell what a terminal, or one inside of another, can
do."""

import os
import re
import select
import sys
import time
from typing import Literal

Way = Literal["kitty", "iterm2", "sixel", "blocks"]

KITTY_QUERY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"  # of its graphics protocol, "Querying support"
VERSION_QUERY = b"\x1b[>q"  # XTVERSION
ATTRIBUTES_QUERY = b"\x1b[c"  # DA1, which every terminal answers: what has not been answered by then is not known to it
ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
SIXEL = b"4"  # among the attributes
UNASKED = ("dumb", "linux", "unknown", "")  # TERM of terminals that would print the questions
SECONDS = 1.0  # for the answer, also over a slow line


def find_way() -> Way | None:
    """None: there is no terminal, or none with colours."""
    term = os.environ.get("TERM", "")
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or term == "dumb":
        return None
    return "blocks" if term in UNASKED else way_of(_answer())


def way_of(answer: bytes) -> Way:
    """`answer`: what came back for the three questions."""
    attributes = ATTRIBUTES.search(answer)
    if b"_Gi=31;OK" in answer:
        return "kitty"
    if b">|iTerm2" in answer:
        return "iterm2"
    return "sixel" if attributes is not None and SIXEL in attributes[1].split(b";")[1:] else "blocks"


def _answer() -> bytes:
    """b"" where there is nobody to ask."""
    try:
        import termios
        import tty

    except ImportError:  # on Windows
        return b""
    if not sys.stdin.isatty():
        return b""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        os.write(sys.stdout.fileno(), KITTY_QUERY + VERSION_QUERY + ATTRIBUTES_QUERY)
        return _read(terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)  # what comes too late is not for the shell


def _read(terminal: int) -> bytes:
    found, deadline = b"", time.monotonic() + SECONDS
    while not ATTRIBUTES.search(found) and (left := deadline - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            found += os.read(terminal, 1024)
    return found
