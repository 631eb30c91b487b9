"""Tool calls in a model's own format: detect.py finds the dialect of a checkpoint, dialects/ describe how each writes calls,
parsing/ reads calls from generated text, grammar/ constrains generation to valid calls."""
