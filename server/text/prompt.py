"""What a model is given to go on from."""

from dataclasses import dataclass

from engine.api import PlacedImage
from server.text.reasoning.api import Place


@dataclass(frozen=True)
class Prompt:
    tokens: tuple[int, ...]
    place: Place = "answer"  # where the model goes on
    images: tuple[PlacedImage, ...] = ()  # among `tokens`
    delimiters: tuple[str, ...] = ()  # tags around untrusted data in the prompt; the answer ends where it repeats one
    encoder: tuple[int, ...] = ()  # what an encoder-decoder reads first; `tokens` are then the beginning of its answer
    forced_first: int | None = None  # the token that comes next whatever the model wants, as the language that it is to write

    @property
    def length(self) -> int:
        """Tokens, those that an encoder reads among them."""
        return len(self.encoder) + len(self.tokens)

    @property
    def image_tokens(self) -> int:
        return sum(image.rows for image in self.images)

    @property
    def text(self) -> tuple[int, ...]:
        """The tokens of what the client has said."""
        return self.encoder or self.tokens
