"""What is wrong with a part, and where."""

from collections.abc import Iterator

Problem = tuple[str, str]  # path below the architecture, what is wrong


def positive(value: object, path: str, *names: str) -> Iterator[Problem]:
    for name in names:
        if getattr(value, name) < 1:
            yield f"{path}.{name}", f"= {getattr(value, name)} must be positive"
