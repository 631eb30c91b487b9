"""Ends a model's thoughts when their budget is spent."""

from engine.api import ThoughtBudget
from engine.embedded.sampling.bad_words import BadWords


class ThoughtLimit:
    """For one answer."""

    __slots__ = ("_budget", "_end", "_reopening", "_watch")

    def __init__(self, budget: ThoughtBudget) -> None:
        self._budget, self._watch = budget, budget.watch()
        self._reopening = BadWords(budget.reopening) if budget.reopening else None
        self._end: list[int] = []  # what is left to write of the budget's `end`
        self._begin_end()

    @property
    def next_token(self) -> int | None:
        """The one that must come next; None: any may."""
        return self._end[0] if self._end else None

    @property
    def reopening(self) -> BadWords | None:
        """What must not be generated any more."""
        return self._reopening if self._watch.count >= self._budget.tokens else None

    def accept(self, token: int) -> None:
        self._watch.accept(token)
        if self._reopening is not None:
            self._reopening.accept(token)
        if self._end:
            self._end = self._end[1:] if token == self._end[0] else []
        else:
            self._begin_end()

    def _begin_end(self) -> None:
        if self._watch.thinking and self._watch.count >= self._budget.tokens:
            self._end = list(self._budget.end)
