"""Opens the model of speech where the settings want one; nothing heavy is imported where they do not."""

from server.runtime.settings import Settings
from server.speech.model import SpeechModel
from server.weights.progress import Progress


def open_speech(settings: Settings, progress: Progress) -> SpeechModel | None:
    """Raises PullError, ValueError."""
    if settings.transcription_model is None:
        return None
    from server.runtime.loading.speech import open_speech_model

    return open_speech_model(settings, settings.transcription_model, progress)
