"""Runs what handles hostile files in subprocesses that can be killed: without network, under limits of time, memory and output, and in a
child for each file. `fork_server` runs in the subprocess and imports nothing of the program; `process` and `pool` run in the server."""
