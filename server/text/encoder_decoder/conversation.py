"""What an encoder-decoder without a chat template reads of a conversation: the last message of the user's, behind what the system says.
Such models were trained on single texts: they answer, and know of no turns."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from server.core.errors import bad_request
from server.core.messages import Message, System, User
from server.text.encoder_decoder.languages import SOURCE, TARGET, LanguageError, LanguagePair, LanguageTokens
from server.text.encoder_decoder.reading import EncoderDecoder


def text_of(model: EncoderDecoder, messages: Sequence[Message], field: str) -> str:
    """One text, joined by spaces: T5's words of what to do (`summarize:`) may be the system's. A model with tokens for languages would
    translate these words, too, and reads the user's alone. Raises ApiError."""
    if not messages or not isinstance(messages[-1], User):
        raise bad_request(field, f"{field}: the last one must be the user's: it is what this model reads")
    systems = [] if isinstance(model.languages, LanguageTokens) else [one.text.strip() for one in messages if isinstance(one, System)]
    return " ".join((*filter(None, systems), messages[-1].text))


def unread(model: EncoderDecoder, messages: Sequence[Message]) -> str | None:
    """Why some of the messages make no difference. None: all do."""
    earlier = messages[:-1]
    if isinstance(model.languages, LanguageTokens):
        return "this model translates the last message, and reads no other" if earlier else None
    if all(isinstance(message, System) for message in earlier):
        return None
    return "this model reads the system's messages and the last one, not those between"


def pair_of(variables: Mapping[str, Any]) -> LanguagePair:
    """Raises ApiError."""
    source, target = (variables.get(name) for name in (SOURCE, TARGET))
    for name, value in ((SOURCE, source), (TARGET, target)):
        if value is not None and not isinstance(value, str):
            raise bad_request(f"chat_template_kwargs.{name}", f'chat_template_kwargs.{name}: a language is a string, such as "de"')
    return LanguagePair(source, target)


@contextmanager
def language_errors() -> Generator[None]:
    """Raises ApiError for a LanguageError inside. A request may name languages in two ways."""
    try:
        yield
    except LanguageError as error:
        name = f"chat_template_kwargs.{error.field}"
        told = f"{name}: {error} (languages may also be part of the model's name: NAME:SOURCE-TARGET)"
        raise bad_request(name, told, "unknown_language") from error
