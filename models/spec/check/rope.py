"""Of rotary positions."""

from collections.abc import Iterator

from models.spec.check.problem import Problem
from models.spec.positions import Divided, LongRope, Rope


def rope(position: object, room: int, room_name: str) -> Iterator[Problem]:
    if not isinstance(position, Rope):
        return
    if position.dim % 2 or not 0 < position.dim <= room:
        yield ".mixer.position.dim", f"= {position.dim} must be even, and at most {room_name} = {room}"
    counts = {
        name: len(getattr(position.scaling, name))
        for name in ("factors", "short", "long")
        if isinstance(position.scaling, Divided | LongRope) and hasattr(position.scaling, name)
    }
    for name, count in counts.items():
        if count != position.dim // 2:
            yield f".mixer.position.scaling.{name}", f"must have {position.dim // 2} numbers, one for each frequency, not {count}"
