"""Images become the numbers that an encoder reads. `decoder` runs in the server, `child` in its subprocess, which a malicious file may take
over and which imports nothing of the program outside this package and `retrieval.sandbox`; what comes out of it, `preprocess` resizes."""
