"""When each word was said, as the attention of some heads tells it."""
