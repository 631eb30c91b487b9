"""Pictures on the side that knows texts: prompts become what a model is told, files become pixels, and pixels files."""
