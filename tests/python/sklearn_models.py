"""Models that people train: scikit-learn estimators on its own datasets, converted by skl2onnx."""

import numpy
import pandas
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.ensemble import (
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

from definition import Definition, column_signature, tensor_signature

SEED = 20260101
OPSET = {"": 21, "ai.onnx.ml": 3}
IRIS_COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
IRIS_ROWS = [[5.1, 3.5, 1.4, 0.2], [7.0, 3.2, 4.7, 1.4], [6.3, 3.3, 6.0, 2.5]]


def convert(estimator, inputs, zipmap=None):
    """The ONNX graph of a fitted estimator."""
    options = None if zipmap is None else {id(estimator): {"zipmap": zipmap}}
    return to_onnx(estimator, initial_types=inputs, options=options, target_opset=OPSET)


def iris():
    """Features and labels of the iris dataset."""
    data = load_iris()
    return data.data.astype(numpy.float32), data.target


def iris_input():
    """One tensor of the four measurements."""
    return [("measurements", FloatTensorType([None, 4]))]


def iris_columns(name, graph, kind="double"):
    """A definition whose signature names the four measurements."""
    return Definition(
        name,
        graph,
        column_signature(*((kind, column) for column in IRIS_COLUMNS)),
        columns=IRIS_COLUMNS,
        rows=IRIS_ROWS,
        input_example=pandas.DataFrame(IRIS_ROWS, columns=IRIS_COLUMNS),
    )


def iris_tensor(name, graph, tensor_name=None):
    """A definition whose signature is one tensor."""
    return Definition(
        name,
        graph,
        tensor_signature(("float32", (-1, 4), tensor_name)),
        tensors={"measurements": IRIS_ROWS},
    )


def linear_models():
    """Regressions and logistic classifiers, with and without ZipMap."""
    diabetes = load_diabetes()
    names = ["age", "bmi", "bp", "s5"]
    picked = [diabetes.feature_names.index(name) for name in names]
    regression = LinearRegression().fit(diabetes.data[:, picked], diabetes.target)
    rows = [[round(float(value), 6) for value in row] for row in diabetes.data[:3, picked]]
    features, labels = iris()
    classifier = LogisticRegression(max_iter=1000).fit(features, labels)
    species = load_iris().target_names[labels]
    by_name = LogisticRegression(max_iter=1000).fit(features, species)
    binary = LogisticRegression(max_iter=1000).fit(features, labels == 1)
    graph = convert(regression, [("features", FloatTensorType([None, 4]))])
    return [
        Definition(
            "linear_regression",
            graph,
            column_signature(*(("double", name) for name in names)),
            columns=names,
            rows=rows,
            input_example=pandas.DataFrame(rows, columns=names),
        ),
        iris_columns("logistic_zipmap", convert(classifier, iris_input(), True)),
        iris_columns("logistic_zipmap_float", convert(classifier, iris_input(), True), "float"),
        iris_columns("logistic_arrays", convert(classifier, iris_input(), False)),
        iris_columns("logistic_split_columns", convert(classifier, iris_input(), "columns")),
        iris_columns("logistic_strings_zipmap", convert(by_name, iris_input(), True)),
        iris_columns("logistic_binary_zipmap", convert(binary, iris_input(), True)),
        iris_tensor("logistic_arrays_tensor", convert(classifier, iris_input(), False)),
        iris_tensor("logistic_zipmap_tensor", convert(classifier, iris_input(), True)),
        iris_tensor("logistic_strings_tensor", convert(by_name, iris_input(), False), "measurements"),
    ]


def tree_models():
    """Forests and boosted trees, with and without ZipMap."""
    features, labels = iris()
    forest = RandomForestClassifier(10, max_depth=4, random_state=SEED).fit(features, labels)
    wine = load_wine()
    regressor = RandomForestRegressor(8, max_depth=4, random_state=SEED)
    regressor.fit(wine.data[:, :3].astype(numpy.float32), wine.data[:, 12])
    boosted = GradientBoostingClassifier(n_estimators=10, random_state=SEED).fit(features, labels)
    columns = ["alcohol", "malic_acid", "ash"]
    rows = [[14.23, 1.71, 2.43], [13.2, 1.78, 2.14], [12.37, 0.94, 1.36]]
    return [
        iris_columns("forest_zipmap", convert(forest, iris_input(), True)),
        iris_tensor("forest_arrays_tensor", convert(forest, iris_input(), False)),
        iris_columns("boosted_zipmap", convert(boosted, iris_input(), True)),
        Definition(
            "forest_regressor",
            convert(regressor, [("features", FloatTensorType([None, 3]))]),
            column_signature(*(("double", name) for name in columns)),
            columns=columns,
            rows=rows,
        ),
    ]


def neural_network():
    """A small perceptron behind a scaler."""
    features, labels = iris()
    network = MLPClassifier((8, 6), max_iter=400, random_state=SEED)
    pipeline = make_pipeline(StandardScaler(), network).fit(features, labels)
    graph = to_onnx(
        pipeline,
        initial_types=iris_input(),
        options={id(pipeline): {"zipmap": False}},
        target_opset=OPSET,
    )
    return [iris_tensor("perceptron_tensor", graph)]


def mixed_pipeline():
    """Strings and numbers, one `[None, 1]` input per column; asked as columns and as tensors."""
    generator = numpy.random.default_rng(SEED)
    size = 120
    table = pandas.DataFrame(
        {
            "colour": generator.choice(["red", "green", "blue"], size).astype(object),
            "shape": generator.choice(["round", "square"], size).astype(object),
            "weight": generator.normal(10.0, 3.0, size).astype(numpy.float32),
            "price": generator.normal(3.0, 1.0, size).astype(numpy.float32),
        }
    )
    labels = ((table["colour"] == "red") & (table["weight"] > 9.0)).astype(int)
    categories = ["colour", "shape"]
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                ("words", OneHotEncoder(handle_unknown="ignore"), categories),
                ("numbers", StandardScaler(), ["weight", "price"]),
            ]
        ),
        LogisticRegression(),
    ).fit(table, labels)
    inputs = [
        ("colour", StringTensorType([None, 1])),
        ("shape", StringTensorType([None, 1])),
        ("weight", FloatTensorType([None, 1])),
        ("price", FloatTensorType([None, 1])),
    ]
    graph = to_onnx(
        pipeline,
        initial_types=inputs,
        options={id(pipeline): {"zipmap": False}},
        target_opset=OPSET,
    )
    rows = [["red", "round", 12.5, 3.25], ["blue", "square", 8.0, 2.0], ["pink", "round", 9.5, 1.5]]
    columns = [name for name, _ in inputs]
    tensors = {name: [[row[i]] for row in rows] for i, name in enumerate(columns)}
    kinds = ["string", "string", "double", "double"]
    shapes = [("str", (-1, 1)), ("str", (-1, 1)), ("float32", (-1, 1)), ("float32", (-1, 1))]
    return [
        Definition(
            "pipeline_columns",
            graph,
            column_signature(*zip(kinds, columns)),
            columns=columns,
            rows=rows,
        ),
        Definition(
            "pipeline_tensors",
            graph,
            tensor_signature(*((*shape, name) for shape, name in zip(shapes, columns))),
            tensors=tensors,
        ),
    ]


def definitions():
    """All models of this file."""
    return linear_models() + tree_models() + neural_network() + mixed_pipeline()
