"""Makes the models and bodies of the benchmark, on scikit-learn's breast cancer data (30 columns).

Usage: make_models.py DIRECTORY
"""

import json
import pathlib
import sys

import mlflow
import numpy
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

target = pathlib.Path(sys.argv[1])
data = load_breast_cancer()
features = data.data.astype(numpy.float32)
names = [name.replace(" ", "_") for name in data.feature_names]
scaled = StandardScaler().fit_transform(features).astype(numpy.float32)

# The outputs are for MLServer, which loads no model without them.
columns = ModelSignature(
    inputs=Schema([ColSpec("double", name) for name in names]),
    outputs=Schema([ColSpec("long", "label")]),
)
tensor = ModelSignature(
    inputs=Schema([TensorSpec(numpy.dtype("float32"), (-1, 30))]),
    outputs=Schema([TensorSpec(numpy.dtype("int64"), (-1,), "label")]),
)


def save(name, estimator, signature):
    graph = to_onnx(estimator, features[:1], options={id(estimator): {"zipmap": False}}, target_opset=17)
    # The label alone: MLflow's wrapper cannot make a table of outputs of different lengths.
    del graph.graph.output[1:]
    mlflow.onnx.save_model(graph, target / name, signature=signature)


logistic = LogisticRegression(max_iter=1000).fit(scaled, data.target)
forest = RandomForestClassifier(n_estimators=100, random_state=0).fit(scaled, data.target)
save("logistic-columns", logistic, columns)
save("logistic-tensor", logistic, tensor)
save("forest-columns", forest, columns)

rows = [[float(value) for value in row] for row in StandardScaler().fit_transform(data.data)]
many = (rows * 2)[:1000]
for count, chosen in ((1, rows[:1]), (1000, many)):
    split = {"dataframe_split": {"columns": names, "data": chosen}}
    (target / f"split-{count}.json").write_text(json.dumps(split))
    (target / f"inputs-{count}.json").write_text(json.dumps({"inputs": chosen}))
