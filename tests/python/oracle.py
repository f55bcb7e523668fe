"""MLflow's own scoring server for many models in one process.

    python oracle.py FOLDER

loads every model directory in FOLDER and serves it with `mlflow.pyfunc.scoring_server` under
`/<name of the directory>/`, so `/<name>/invocations` is what `mlflow models serve` answers.
Prints its address, then serves until its standard input closes.
"""

import os
import socket
import sys
import threading
from pathlib import Path

os.environ.setdefault("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "600")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import uvicorn
from fastapi import FastAPI
from mlflow.pyfunc import scoring_server


def application(folder: Path) -> FastAPI:
    """One application, with one of MLflow's own mounted per model."""
    app = FastAPI()
    for directory in sorted(folder.iterdir()):
        if (directory / "MLmodel").is_file():
            model = mlflow.pyfunc.load_model(str(directory))
            app.mount(f"/{directory.name}", scoring_server.init(model))
    return app


def main(folder: Path) -> None:
    """Serves until standard input closes."""
    # The protocol is named because asyncio switches Nagle's delay off only where it is.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    config = uvicorn.Config(application(folder), log_level="warning", access_log=False)
    server = uvicorn.Server(config)

    def stop_with_parent():
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=stop_with_parent, daemon=True).start()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server.run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
