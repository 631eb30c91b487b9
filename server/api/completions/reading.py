"""The prompt of a completion by an encoder-decoder: what its encoder reads. The completion is the whole answer."""

from collections.abc import Sequence

from server.api.common.output_format import grammar_field, to_grammar
from server.api.completions import types as wire
from server.chat.encoder_decoder import expect_grammars
from server.core.errors import bad_request
from server.runtime.runtime import Runtime
from server.text.encoder_decoder import conversation
from server.text.encoder_decoder.languages import NO_LANGUAGES
from server.text.encoder_decoder.reading import EncoderDecoder
from server.text.prompt import Prompt

WHY = "this model reads its prompt and then answers it"


def read_prompt(runtime: Runtime, model: EncoderDecoder, prompt: str | list[int], body: wire.CompletionRequest) -> Prompt:
    """Raises ApiError."""
    _expect_possible(body)
    if to_grammar(body) is not None:
        expect_grammars(model, grammar_field(body))
    with conversation.language_errors():
        if not isinstance(prompt, str):
            expect_vocabulary(prompt, runtime.engine.info.vocab)
            return _truncated(runtime, model, prompt, body, bare=True)
        text = model.prefix(NO_LANGUAGES) + prompt
        tokens = runtime.tokenizer.encode(text, parse_special=body.parse_special is not False)
        return _truncated(runtime, model, tokens, body, bare=body.add_special_tokens is False)


def expect_vocabulary(tokens: Sequence[int], vocab: int) -> None:
    """Raises ApiError."""
    if outside := [token for token in tokens if token >= vocab]:
        raise bad_request("prompt", f"prompt: there is no token {outside[0]}; the vocabulary has {vocab}")


def _truncated(runtime: Runtime, model: EncoderDecoder, tokens: Sequence[int], body: wire.CompletionRequest, *, bare: bool) -> Prompt:
    """The last tokens of the text, where truncate_prompt_tokens asks for it; what the tokenizer adds stays."""
    prompt, limit, reader = model.prompt(tokens, NO_LANGUAGES, bare=bare), body.truncate_prompt_tokens, runtime.engine.info.reader
    if limit == -1 and reader is not None:
        limit = reader.context
    too_many = 0 if limit is None else len(prompt.encoder) - limit
    return prompt if too_many <= 0 else model.prompt(tokens[too_many:], NO_LANGUAGES, bare=bare)


def _expect_possible(body: wire.CompletionRequest) -> None:
    for name, given, why in (
        ("suffix", body.suffix, "it fills no gaps"),
        ("echo", body.echo, "the answer does not go on with the prompt"),
        ("prompt_logprobs", body.prompt_logprobs is not None, "nothing predicts the tokens that it reads"),
    ):
        if given:
            raise bad_request(name, f"{name}: {WHY}: {why}", "unsupported")
