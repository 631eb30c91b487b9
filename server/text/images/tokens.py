"""Images in prompts. A chat template writes a mark for each one; the mark becomes what the model reads of it before the prompt is encoded,
and each tile's token becomes as many as the tile has rows once it is encoded. Nothing that a client writes becomes a mark: it is a control
token (server/text/control_tokens.py)."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.api import PlacedImage
from server.core.messages import Image, Json, SeenImage, SeenTiles, split_parts
from server.text.control_tokens import ControlTokens
from server.text.template import TemplateMessage, TemplateRefused

PROBE = "stoaimages"
ROW_AND_COLUMN = re.compile("<row_[0-9]+_col_[0-9]+>")  # of Idefics3's tiles
AROUND = frozenset({"<fake_token_around_image>", "<global-img>", "<img>", "</img>", "<end_of_image>"})
Render = Callable[[Sequence[TemplateMessage]], str | None]  # None: refused


@dataclass(frozen=True, slots=True)
class ImageTokens:
    """Of a model that reads images. `mark`: what its chat template writes for one. `row`: the token in the place of each of its rows,
    whose number is `row_id`. `in_parts`: roles whose images the template takes as parts of the content; of others, where it takes text,
    the mark stands in that."""

    mark: str
    row: str
    row_id: int
    in_parts: frozenset[str] = field(default=frozenset())

    def content(self, role: str, text: str, images: Sequence[Image], controls: ControlTokens) -> Any:
        """Of a message for the template."""
        parts = split_parts(text, images)
        if role in self.in_parts:
            return [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in parts]
        return "\n".join(part if isinstance(part, str) else controls.aliases[self.mark] for part in parts)

    def expanded(self, text: str, images: Sequence[SeenImage], controls: ControlTokens) -> str:
        """A rendered prompt, control tokens as aliases, with what stands for each image in the place of its mark. Raises
        TemplateRefused."""
        pieces = text.split(controls.aliases[self.mark])
        if len(pieces) != len(images) + 1:
            raise TemplateRefused("this model's chat template does not show each image of this conversation once")
        row = controls.aliases[self.row]
        shown = ("".join(controls.to_aliases(part) if isinstance(part, str) else row for part in image.parts) for image in images)
        return pieces[0] + "".join(image + piece for image, piece in zip(shown, pieces[1:], strict=True))

    def placed(self, tokens: Sequence[int], images: Sequence[SeenImage]) -> tuple[tuple[int, ...], tuple[PlacedImage, ...]]:
        """Tokens of an expanded prompt, with as many for each tile as it has rows; and where these are."""
        waiting, found, places = _tiles(images), list[int](), list[PlacedImage]()
        for token in tokens:
            if token == self.row_id:
                seen = next(waiting)
                places.append(PlacedImage(image=seen.tiles, at=len(found), rows=seen.rows))
                found += [token] * seen.rows
            else:
                found.append(token)
        return tuple(found), tuple(places)


def _tiles(images: Sequence[SeenImage]) -> Iterator[SeenTiles]:
    return (part for image in images for part in image.parts if isinstance(part, SeenTiles))


# of PaliGemma, which has no template: its images come first, then the beginning of a text, one prompt and the end of its line
PROMPT_TEMPLATE = """{% if messages | length != 1 or messages[0].role != 'user' %}\
{{ raise_exception('this model answers a single prompt about its images') }}{% endif %}{% set content = messages[0].content %}\
{% if content is string %}{{ bos_token + content }}{% else %}\
{% for part in content if part.type == 'image' %}{{ '<image>' }}{% endfor %}{{ bos_token }}\
{% for part in content if part.type == 'text' %}{{ part.text }}{% endfor %}{% endif %}{{ '\\n' }}"""


def own_template(config: Json) -> str | None:
    """Of a model that is known to be prompted so although its folder has no template."""
    return PROMPT_TEMPLATE if config.get("model_type") == "paligemma" else None


def image_words(added: Iterable[str]) -> Iterator[str]:
    """What is written around images, beside their marks."""
    return (name for name in added if ROW_AND_COLUMN.fullmatch(name) or name in AROUND)


def read_image_tokens(config: Json, added: Mapping[str, int]) -> ImageTokens | None:
    """By a model's config.json. None: it reads no images, or its tokenizer has no token for them."""
    names = {number: name for name, number in added.items()}
    row_id = next((config[key] for key in ("image_token_id", "image_token_index") if isinstance(config.get(key), int)), None)
    if row_id is None or row_id not in names:
        return None
    mark = names.get(
        config.get("boi_token_index", config.get("boi_token_id", row_id)), names[row_id]
    )  # Gemma 3's template writes the beginning alone
    return ImageTokens(mark, names[row_id], row_id)


def probe_image_roles(render: Render, mark: str) -> frozenset[str]:
    """The roles whose images a template takes as parts."""
    parts = [{"type": "image"}, {"type": "text", "text": PROBE}]
    shown = render([{"role": "user", "content": parts}])
    return frozenset({"user"} if shown is not None and shown.count(mark) == 1 and PROBE in shown and "'type'" not in shown else ())
