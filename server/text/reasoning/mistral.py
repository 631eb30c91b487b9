"""Magistral and later models of Mistral: [THINK]...[/THINK]."""

from server.text.reasoning.tags import Tags

MISTRAL = Tags(opens=("[THINK]",), closes=("[/THINK]",), gap="")
