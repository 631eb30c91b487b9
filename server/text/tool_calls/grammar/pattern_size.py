"""The size of a regular expression once its counted repetitions are written out."""

import re

TOKEN = re.compile(r"\\.|\[(?:\\.|\^?\]?(?:\\.|[^\]\\])*)\]|\{(\d*)(,?)(\d*)\}|\(\?(?:P?<[^>]*>|[^()<]*?:|[=!]|<[=!])?|.", re.DOTALL)


def expanded_size(pattern: str) -> int:
    """Number of characters and classes, each as often as it must at least be there, or at most where that is bounded: 6 for "(ab){3}".
    For a pattern with unbalanced brackets it is a guess."""
    sizes, last = [0], 0  # of the groups that are open; of the last atom
    for match in TOKEN.finditer(pattern):
        token = match[0]
        if token.startswith("("):
            sizes.append(0)
            last = 0
        elif token == ")" and len(sizes) > 1:
            last = sizes.pop()
            sizes[-1] += last
        elif token.startswith("{") and len(token) > 1:
            sizes[-1] += last * (_count(match) - 1)
        elif token not in ("|", "*", "+", "?", "^", "$"):
            last = 1
            sizes[-1] += last
    return sum(sizes)


def _count(match: re.Match[str]) -> int:
    return max(1, *(int(bound[:9]) if len(bound) < 10 else 10**9 for bound in (match[1], match[3]) if bound), 1)
