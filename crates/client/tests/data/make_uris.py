"""Writes model_uris.json: what MLflow makes of a table of model URIs.

For each string: the result of `ModelsArtifactRepository.split_models_uri` followed by
`_parse_model_uri`, or `null` where MLflow refuses it. Run with MLflow 3.17.2:

    python make_uris.py > model_uris.json
"""

import json
import sys

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository
from mlflow.store.artifact.utils.models import _parse_model_uri

M_ID = "m-0123456789abcdef0123456789abcdef"
MODELS = [
    "models:/name/3", "models:/name/03", "models:/name/0", "models:/name/123456789012345678901234567890",
    "models:/name/Production", "models:/name/production", "models:/name/PRODUCTION", "models:/name/Staging",
    "models:/name/None", "models:/name/archived", "models:/name/Bogus", "models:/name/latest",
    "models:/name/LATEST", "models:/name/Latest", "models:/name/latest/MLmodel", "models:/name@champion",
    "models:/name@a@b", "models:/na@me@1", "models:/name@champion/MLmodel", "models:/name@champion/data/model.onnx",
    "models:/name@", "models:/name@ ", "models:/@alias", "models:/name/3/", "models:/name/3//", "models:/name/",
    "models:/name//", "models:/name", "models:/", "models:", "models:name", "models:name/3", "models://",
    "models:///name/3", "models:////name/3", "models:/name/3/MLmodel", "models:/name/3/data/model.onnx",
    "models:/name/Production/sub/file", f"models:/{M_ID}", f"models:/{M_ID}/", f"models:/{M_ID}@x",
    "models:/m-nope", "models:/my model/1", "models:/my%20model/1", "models:/cat.schema.model/2",
    "models:/ünïcode/1", "models:/名前@冠軍", "models:/ /1", "models:/  ", "models:/name/ ", "models:/name/1.0",
    "models:/name/-1", "models:/name/+1", "models:/name/v1", "models:/name/3?x=y", "models:/name?x=y",
    "models:/name@alias?x", "models:/name/3#frag", "models:/name#frag", "models:/name;p/3", "MODELS:/name/3",
    "Models:/name@a", " models:/name/3", "models:/name/3 ", "models:/na\tme/3", "models:/name/3\n", "models:/a/b/c",
    "models:/a/b/c/d", "models:/a//c", "models:/a/1//b", "models:/a@b@c/d@e", "models:/a/b@c", "models:/a/@c",
    "models:/a@/b", "runs:/x/y", "s3://b/k", "", "name/3", "/models/name/3", "model:/name/3", "models/:name/3",
]
RUNS = [
    "runs:/abc/model", "runs:/abc/model/", "runs:/abc", "runs:/abc/", "runs:/abc/a/b/c", "runs:/", "runs:",
    "runs:abc/model", "runs:///abc/model", "runs:/abc/a b", "runs:/abc/a%20b", "RUNS:/abc/model", "runs:/abc?x/y",
    "models:/abc/1",
]


def models(uri):
    if not ModelsArtifactRepository.is_models_uri(uri):
        return None
    try:
        base, path = ModelsArtifactRepository.split_models_uri(uri)
        parsed = _parse_model_uri(base)
    except (MlflowException, ValueError):
        return None
    return {**parsed._asdict(), "path": path}


def runs(uri):
    try:
        run_id, path = RunsArtifactRepository.parse_runs_uri(uri)
    except MlflowException:
        return None
    return {"run_id": run_id, "path": path}


json.dump(
    {
        "models": [{"uri": uri, "expected": models(uri)} for uri in MODELS],
        "runs": [{"uri": uri, "expected": runs(uri)} for uri in RUNS],
    },
    sys.stdout, indent=1, ensure_ascii=False,
)
print()
