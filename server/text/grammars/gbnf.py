"""Grammars as clients write them: GBNF (llama.cpp's grammars/README.md) or Lark in the syntax of llguidance."""

from llguidance.gbnf_to_lark import GbnfToLarkError, any_to_lark  # pyright: ignore[reportMissingTypeStubs]

MAX_CHARACTERS = 64 * 1024


class UnreadableGrammar(ValueError):
    """The message says where it cannot be read."""


def to_lark(source: str) -> str:
    """Raises UnreadableGrammar. What is Lark already is returned as it is; the engine checks it."""
    if len(source) > MAX_CHARACTERS:
        raise UnreadableGrammar(f"the grammar has {len(source)} characters, at most {MAX_CHARACTERS} are read")
    try:
        return any_to_lark(source)
    except (GbnfToLarkError, ValueError, IndexError, KeyError, RecursionError) as error:
        raise UnreadableGrammar(f"this is no grammar in GBNF or Lark: {str(error).splitlines()[0] if str(error) else error!r}") from error
