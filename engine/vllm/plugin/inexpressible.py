"""What vLLM has no layer for."""


class Inexpressible(ValueError):
    """Raised while a model is built, before its weights are read. The message names the part and what vLLM lacks."""

    def __init__(self, part: str, lacks: str) -> None:
        super().__init__(f"{part}: vLLM has no {lacks}; `stoa serve --engine embedded` serves this model")
