"""Dense decoders: Llama and what is built like it."""
