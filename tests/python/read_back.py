"""What MLflow's Python client finds of a run that was tracked from Rust.

Arguments: the run, and the experiment. Prints one JSON object.
"""

import json
import sys

import mlflow
from mlflow import MlflowClient

client = MlflowClient()
run_id, experiment_id = sys.argv[1:]


def dataset(entry):
    source = mlflow.data.get_source(entry.dataset)
    return {
        "name": entry.dataset.name,
        "digest": entry.dataset.digest,
        "source": source.to_dict(),
        "source_type": entry.dataset.source_type,
        "schema": json.loads(entry.dataset.schema) if entry.dataset.schema else None,
        "profile": json.loads(entry.dataset.profile) if entry.dataset.profile else None,
        "tags": {tag.key: tag.value for tag in entry.tags},
    }


def point(metric):
    fields = ["key", "value", "timestamp", "step", "dataset_name", "dataset_digest", "model_id", "run_id"]
    return {field: getattr(metric, field) for field in fields}


def model(found):
    metrics = sorted(found.metrics or [], key=lambda metric: (metric.key, metric.step))
    return {
        "model_id": found.model_id,
        "name": found.name,
        "model_type": found.model_type,
        "source_run_id": found.source_run_id,
        "status": str(found.status),
        "params": [len(found.params), found.params["p119"], found.params["later"]],
        "tags": {key: value for key, value in found.tags.items() if not key.startswith("mlflow.")},
        "metrics": [point(metric) for metric in metrics],
    }


def search(**arguments):
    found = client.search_logged_models(experiment_ids=[experiment_id], **arguments)
    return [entry.name for entry in found]


run = client.get_run(run_id)
history = client.get_metric_history(run_id, "loss")
models = [model(client.get_logged_model(output.model_id)) for output in run.outputs.model_outputs]
print(
    json.dumps({
        "datasets": sorted((dataset(entry) for entry in run.inputs.dataset_inputs), key=lambda entry: entry["name"]),
        "model_inputs": [entry.model_id for entry in run.inputs.model_inputs],
        "outputs": [[output.model_id, output.step] for output in run.outputs.model_outputs],
        "models": models,
        "best": search(
            filter_string="metrics.accuracy > 0.5",
            datasets=[{"dataset_name": "validation", "dataset_digest": "3f2a9c"}],
            order_by=[{"field_name": "metrics.accuracy", "ascending": False, "dataset_name": "validation"}],
        ),
        "history": [[metric.step, metric.value] for metric in history],
    })
)
