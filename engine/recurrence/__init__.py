"""States in slots, in plain torch, for every engine that keeps some: which slots, and where they lie, is the engine's own knowledge."""
