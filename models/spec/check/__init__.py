"""What types cannot say of an architecture: numbers that must fit together."""

from models.spec.check.arch import check, problems

__all__ = ["check", "problems"]
