"""Audio files become samples. `decoder` runs in the server, `child` in its subprocess, which a malicious file may take over and which
imports nothing of the program outside this package and `retrieval.sandbox`."""
