"""The decorator that makes a class a word of the vocabulary."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def spec(cls: type[T]) -> type[T]:
    return dataclass(frozen=True, kw_only=True)(cls)
