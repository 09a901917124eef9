"""llama.cpp's own server, as the package xllamacpp carries it: PYTHON llamacpp_server.py MODEL.gguf PORT WINDOW."""

from __future__ import annotations

import signal
import sys

import xllamacpp


def main() -> None:
    path, port, window = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.port = port
    params.n_ctx = window
    params.n_parallel = 1
    params.warmup = False
    params.use_jinja = True
    params.ctx_shift = False
    params.cpuparams.n_threads = 2
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
