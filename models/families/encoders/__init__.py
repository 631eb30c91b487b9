"""Encoders: whole texts in, vectors or scores out."""
