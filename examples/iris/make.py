"""Makes the model directory around this file: iris species from four measurements.

    python make.py

Needs the packages of `tests/python/requirements.txt`. The model is a logistic regression, trained
on scikit-learn's own copy of the dataset, converted to ONNX and saved by MLflow. Probabilities
come as one output per species, so that every record of an answer is flat.
"""

import shutil
import tempfile
from pathlib import Path

import mlflow
import onnx
import pandas
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
# The label that the classifier gives to each species, and the name of its probability.
OUTPUTS = ["species", "setosa", "versicolor", "virginica"]
OPSET = {"": 21, "ai.onnx.ml": 3}
REQUIREMENTS = ["mlflow==3.17.2", "onnx==1.23.2", "onnxruntime==1.31.1"]


def graph() -> onnx.ModelProto:
    """The trained classifier, its outputs named after what they mean."""
    data = load_iris()
    classifier = LogisticRegression(max_iter=1000).fit(data.data, data.target)
    made = to_onnx(
        classifier,
        initial_types=[("measurements", FloatTensorType([None, len(COLUMNS)]))],
        options={id(classifier): {"zipmap": "columns"}},
        target_opset=OPSET,
    )
    names = {output.name: name for output, name in zip(made.graph.output, OUTPUTS)}
    for output in made.graph.output:
        output.name = names[output.name]
    for node in made.graph.node:
        for i, name in enumerate(node.output):
            node.output[i] = names.get(name, name)
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)
    onnx.checker.check_model(made, full_check=True)
    return made


def main() -> None:
    """Saves the model beside this file, replacing what was there."""
    here = Path(__file__).resolve().parent
    example = pandas.DataFrame([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]], columns=COLUMNS)
    answer = pandas.DataFrame([[0, 0.98, 0.02, 0.0]], columns=OUTPUTS)
    answer = answer.astype({name: "float32" for name in OUTPUTS[1:]})
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "model"
        mlflow.onnx.save_model(
            graph(),
            str(saved),
            signature=infer_signature(example, answer),
            input_example=example,
            pip_requirements=REQUIREMENTS,
        )
        for file in saved.iterdir():
            shutil.copy(file, here / file.name)


if __name__ == "__main__":
    main()
