"""The health check of the image: fails where the server's /health does not answer with 200."""

import os
import urllib.request

urllib.request.urlopen(f"http://127.0.0.1:{os.environ['STOA_PORT']}/health", timeout=4).close()
