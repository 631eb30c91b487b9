"""How models write tool calls, one module per dialect. To add one: describe it as a ToolCallFormat (base.py) in a module here, add
its signature to server/text/tool_calls/detect.py, and add transcripts to tests/server/text/tool_calls/golden.json."""
