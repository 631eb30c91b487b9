"""For models whose chat template does not support tools: Hermes's format, which server/text/tool_calls/tools_as_text.py explains to
the model in its prompt."""

from dataclasses import replace

from server.text.tool_calls.dialects.hermes import HERMES

GENERIC = replace(HERMES, name="generic", single_call=True)  # models that were not trained on calls would not stop calling
