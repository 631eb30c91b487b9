"""Tokens of several generations, taken together."""

from collections.abc import Sequence

from engine.api import Usage


def add_usages(usages: Sequence[Usage]) -> Usage:
    return Usage(
        prompt=sum(one.prompt for one in usages),
        completion=sum(one.completion for one in usages),
        cached=sum(one.cached for one in usages),
    )
