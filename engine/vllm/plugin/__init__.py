"""Our models inside vLLM: the classes that it builds, over its own layers."""
