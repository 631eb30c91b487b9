"""Decoders with LayerNorm, learned positions or ALiBi: GPT-2 and those after it."""
