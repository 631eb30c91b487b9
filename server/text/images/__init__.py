"""How images come into chats: decoded in the sandbox, prepared as the model's makers did, and named by the tokens that stand for them.
Imports no torch."""
