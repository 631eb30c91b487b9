"""Opens the model of speech: beside the chat models, on an embedded engine of its own."""

from dataclasses import replace

from server.runtime.loading.embedded import open_embedded
from server.runtime.setting_values import short_name
from server.runtime.settings import Settings
from server.speech.decoding.decoder import SandboxDecoder
from server.speech.decoding.limits import AudioLimits
from server.speech.model import SpeechModel
from server.speech.tokens import read_speech_tokens
from server.speech.transcriber import EngineTranscriber
from server.text.tokenizer import load_tokenizer
from server.weights.progress import Progress
from server.weights.pull import pull


def open_speech_model(settings: Settings, source: str, progress: Progress) -> SpeechModel:
    """`source`: what `pull` knows it as. Raises PullError, ValueError."""
    directory, name = pull(source, progress=progress), short_name(source)
    tokenizer, tokens = load_tokenizer(directory), read_speech_tokens(directory)
    alone = settings.model_copy(update={"context": None, "quantize": None})  # those are the chat models'
    return SpeechModel(
        name=name,
        engine=open_embedded(alone, name, directory),
        tokenizer=tokenizer,
        listen=lambda engine: EngineTranscriber(engine, tokenizer, tokens),
        decoder=SandboxDecoder(replace(AudioLimits(), duration=settings.max_audio_seconds)),
    )
