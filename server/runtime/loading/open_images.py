"""Opens the model of pictures where the settings want one; nothing heavy is imported where they do not."""

from server.images.model import ImageModel
from server.runtime.settings import Settings
from server.weights.progress import Progress


def open_images(settings: Settings, progress: Progress) -> ImageModel | None:
    """Raises PullError, ValueError."""
    if settings.image_model is None:
        return None
    from server.runtime.loading.images import open_image_model

    return open_image_model(settings, settings.image_model, progress)
