"""A page in a process that may open 256 files; says its address, and at the end how many files it could still open."""

from __future__ import annotations

import logging
import resource
import sys
from pathlib import Path

from streamderain.preview.server import PreviewServer

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    logging.basicConfig(level=logging.INFO)
    with PreviewServer(port=0, token="secret") as server:
        print(server.url, flush=True)
        for _ in sys.stdin:
            files = []
            try:
                while len(files) < 256:
                    files.append(Path(__file__).open())
            except OSError:
                pass
            print(len(files), flush=True)
            for each in files:
                each.close()
