"""What `generate` raises."""


class EngineError(Exception):
    """Base of what `generate` raises before its first delta; the message is meant for the caller of the API."""


class PromptTooLong(EngineError): ...


class InvalidGrammar(EngineError): ...


class QueueFull(EngineError): ...


class Unsupported(EngineError):
    """This engine cannot do what the request asks for."""


class EngineUnavailable(EngineError):
    """It cannot be reached now, or not any more; `Engine.fault` tells for how long. Also raised after the first delta."""


class EngineStopped(EngineError):
    """The engine thread has died or is shutting down."""
