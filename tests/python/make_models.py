"""Makes the models of the differential tests with MLflow itself.

    python make_models.py FOLDER

writes one model directory per definition into FOLDER, which must be empty or absent, and
`requests.json` beside them: what the tests ask each model.
"""

import json
import logging
import os
import sys
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow

import graph_models
import make_requests
import sklearn_models


def main(folder: Path) -> None:
    """Writes everything."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    trained, drawn = sklearn_models.definitions(), graph_models.definitions()
    definitions = trained + drawn
    for definition in definitions:
        mlflow.onnx.save_model(
            definition.graph,
            str(folder / definition.name),
            signature=definition.signature,
            input_example=definition.input_example,
            # Said here, so that MLflow does not start an interpreter per model to find out.
            pip_requirements=["mlflow==3.17.2", "onnx==1.23.2", "onnxruntime==1.31.1"],
        )
    # Engines sum in different orders; the hand-made graphs leave them no choice.
    document = {
        definition.name: {
            "exact": any(definition is other for other in drawn),
            "requests": make_requests.requests_for(definition),
        }
        for definition in definitions
    }
    (folder / "requests.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    total = sum(len(entry["requests"]) for entry in document.values())
    print(f"{len(definitions)} models, {total} requests")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
