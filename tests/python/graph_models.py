"""Hand-made graphs: every element type, several inputs, every rank, with and without signature."""

import numpy
from mlflow.types import ParamSchema, ParamSpec
from onnx import TensorProto, checker, helper

from definition import Definition, column_signature, tensor_signature

OPSET = 21
ELEMENT_TYPES = {
    "bool": TensorProto.BOOL,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "string": TensorProto.STRING,
}
SAMPLES = {
    "bool": [[True, False], [False, True]],
    "float16": [[1.5, -2.25], [0.0, 65504.0]],
    "float32": [[1.5, -2.25], [0.1, 16777216.0]],
    "float64": [[1.5, -2.25], [0.1, 1e300]],
    "string": [["red", "gr\u00fcn"], ["", "\u6f22\u5b57 \U0001f600"]],
}


def value(name, element_type, shape):
    """A value of a graph; a shape's strings are symbolic dimensions."""
    return helper.make_tensor_value_info(name, ELEMENT_TYPES[element_type], shape)


def graph(nodes, inputs, outputs, initializers=()):
    """A checked model of these nodes."""
    made = helper.make_graph(nodes, "graph", inputs, outputs, initializer=list(initializers))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    checker.check_model(model, full_check=True)
    return model


def constant(name, element_type, shape, values):
    """An initializer."""
    return helper.make_tensor(name, ELEMENT_TYPES[element_type], shape, values)


def identity(element_type, shape, name="x"):
    """A graph that answers with its input."""
    return graph(
        [helper.make_node("Identity", [name], ["y"])],
        [value(name, element_type, shape)],
        [value("y", element_type, shape)],
    )


def element_types():
    """An identity for each element type, behind a tensor signature."""
    made = []
    for element_type in ELEMENT_TYPES:
        dtype = "str" if element_type == "string" else element_type
        sample = SAMPLES.get(element_type, [[1, 2], [0, 100]])
        made.append(
            Definition(
                f"tensor_{element_type}",
                identity(element_type, ["rows", 2]),
                tensor_signature((dtype, (-1, 2), "x")),
                tensors={"x": sample},
            )
        )
    return made


MIXED = [
    ("float", "float32", [1.5, 0.1]),
    ("double", "float64", [2.5, 0.1]),
    ("integer", "int32", [3, -4]),
    ("long", "int64", [5, 9007199254740993]),
    ("boolean", "bool", [True, False]),
    ("string", "string", ["red", "gr\u00fcn"]),
]


def mixed(name, kinds, required=True):
    """A model with one rank-1 input and one rank-1 output for each of these column types."""
    chosen = [entry for entry in MIXED if entry[0] in kinds]
    made = graph(
        [helper.make_node("Identity", [f"{kind}_in"], [f"{kind}_out"]) for kind, _, _ in chosen],
        [value(f"{kind}_in", element, ["rows"]) for kind, element, _ in chosen],
        [value(f"{kind}_out", element, ["rows"]) for kind, element, _ in chosen],
    )
    return Definition(
        name,
        made,
        column_signature(*((kind, f"{kind}_in", required) for kind, _, _ in chosen)),
        columns=[f"{kind}_in" for kind, _, _ in chosen],
        rows=[[values[row] for _, _, values in chosen] for row in range(2)],
    )


def mixed_columns():
    """The column types one by one, as a vector and as a matrix, and all in one model.

    Text stands apart: pandas 3 hands MLflow a text column as an array that ONNX Runtime refuses,
    so that a model with several inputs of which one is text answers an error to JSON.
    """
    single = []
    for kind, element, values in MIXED:
        if kind in ("double", "string"):
            single.append(
                Definition(
                    f"vector_{kind}_column",
                    identity(element, ["rows"]),
                    column_signature((kind, "x")),
                    columns=["x"],
                    rows=[[value] for value in values],
                )
            )
        single.append(
            Definition(
                f"matrix_{kind}_columns",
                identity(element, ["rows", "width"]),
                column_signature((kind, "a"), (kind, "b")),
                columns=["a", "b"],
                rows=[[value, value] for value in values],
            )
        )
    numbers = ["float", "double", "integer", "long", "boolean"]
    return single + [
        mixed("columns_mixed", numbers),
        mixed("columns_optional", numbers, required=False),
        mixed("columns_with_string", ["double", "long", "string"]),
    ]


def numeric_mixes():
    """Several column types that meet in one matrix."""
    names = ["a", "b", "c"]
    scale = [
        helper.make_node("Mul", ["x", "factor"], ["scaled"]),
    ]
    factor = constant("factor", "float32", [], [2.0])
    scaled = graph(
        scale,
        [value("x", "float32", ["rows", 3])],
        [value("scaled", "float32", ["rows", 3])],
        [factor],
    )
    total = graph(
        [helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0)],
        [value("x", "float32", ["rows", 3])],
        [value("total", "float32", ["rows"])],
        [constant("axes", "int64", [1], [1])],
    )
    rows = [[1.5, 2.0, 3.0], [-0.5, 1.0, 0.0]]
    whole = [[1, 2.0, 3], [-5, 1.0, 0]]
    return [
        Definition(
            "sum_double_float",
            total,
            column_signature(("double", "a"), ("float", "b"), ("double", "c")),
            columns=names,
            rows=rows,
        ),
        Definition(
            "sum_long_double",
            total,
            column_signature(("long", "a"), ("double", "b"), ("integer", "c")),
            columns=names,
            rows=whole,
        ),
        Definition(
            "sum_long",
            graph(
                [helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0)],
                [value("x", "int64", ["rows", 3])],
                [value("total", "int64", ["rows"])],
                [constant("axes", "int64", [1], [1])],
            ),
            column_signature(("long", "a"), ("long", "b"), ("long", "c")),
            columns=names,
            rows=[[1, 2, 3], [-5, 1, 0]],
        ),
        Definition(
            "sum_long_in_float_graph",
            total,
            column_signature(("long", "a"), ("long", "b"), ("long", "c")),
            columns=names,
            rows=[[1, 2, 3], [-5, 1, 0]],
        ),
        Definition(
            "sum_boolean_double",
            total,
            column_signature(("boolean", "a"), ("double", "b"), ("double", "c")),
            columns=names,
            rows=[[True, 2.0, 3.0], [False, 1.0, 0.0]],
        ),
        Definition(
            "sum_unnamed_columns",
            total,
            column_signature(("double",), ("double",), ("double",)),
            columns=names,
            rows=rows,
        ),
        Definition(
            "matrix_output_columns",
            scaled,
            column_signature(*(("double", name) for name in names)),
            columns=names,
            rows=rows,
        ),
        Definition(
            "sum_no_signature", total, columns=names, rows=rows, tensors={"x": rows}
        ),
    ]


def texts():
    """Text of which nothing is declared, and bytes, which the engine gets as text."""
    words = identity("string", ["rows", "width"])
    return [
        Definition(
            "text_no_signature",
            words,
            columns=["a", "b"],
            rows=[["red", "5"], ["gr\u00fcn", "x"]],
            tensors={"x": [["red", "5"], ["gr\u00fcn", "x"]]},
        ),
        Definition(
            "binary_columns",
            words,
            column_signature(("binary", "a"), ("binary", "b")),
            columns=["a", "b"],
            rows=[["aGVsbG8=", "eA=="], ["//4=", ""]],
        ),
    ]


def arithmetic():
    """Quotients and logarithms, for NaN and the infinities, with names beyond ASCII."""
    names = ["gr\u00f6\u00dfe", "\u6f22 \"b\""]
    inputs = ["x", "z"]
    made = graph(
        [
            helper.make_node("Div", inputs, ["quotient"]),
            helper.make_node("Log", ["x"], ["logarithm"]),
        ],
        [value(name, "float64", ["rows"]) for name in inputs],
        [value("quotient", "float64", ["rows"]), value("logarithm", "float64", ["rows"])],
    )
    renamed = graph(
        [helper.make_node("Add", names, ["s\u00fcmme"])],
        [value(name, "float64", ["rows"]) for name in names],
        [value("s\u00fcmme", "float64", ["rows"])],
    )
    rows = [[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [1e-10, 3.0], [123456789.123, 1.0], [1e16, 1.0]]
    return [
        Definition(
            "quotient_columns",
            made,
            column_signature(("double", "x"), ("double", "z")),
            columns=inputs,
            rows=rows,
        ),
        Definition(
            "unicode_columns",
            renamed,
            column_signature(*(("double", name) for name in names)),
            columns=names,
            rows=rows,
        ),
    ]


def several_tensors():
    """Two and three inputs; missing and mismatched ones come from the requests."""
    two = graph(
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        [value("a", "float32", ["rows", 2]), value("b", "float32", ["rows", 2])],
        [value("sum", "float32", ["rows", 2])],
    )
    three = graph(
        [
            helper.make_node("Cast", ["whole"], ["as_float"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["x", "as_float"], ["sum"]),
            helper.make_node("Identity", ["words"], ["said"]),
        ],
        [
            value("x", "float32", ["rows", 2]),
            value("whole", "int64", ["rows", 1]),
            value("words", "string", ["rows"]),
        ],
        [value("sum", "float32", ["rows", 2]), value("said", "string", ["rows"])],
    )
    pair = {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [[0.5, 0.5], [1.5, 1.5]]}
    return [
        Definition(
            "two_tensors",
            two,
            tensor_signature(("float32", (-1, 2), "a"), ("float32", (-1, 2), "b")),
            tensors=pair,
        ),
        Definition("two_tensors_no_signature", two, tensors=pair),
        Definition(
            "three_tensors",
            three,
            tensor_signature(
                ("float32", (-1, 2), "x"), ("int64", (-1, 1), "whole"), ("str", (-1,), "words")
            ),
            tensors={"x": [[1.0, 2.0], [3.0, 4.0]], "whole": [[1], [2]], "words": ["a", "b"]},
        ),
    ]


def shapes():
    """Variable, fixed and missing dimensions; outputs of several ranks."""
    cube = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]
    axes = constant("axes", "int64", [1], [1])
    ranks = graph(
        [
            helper.make_node("ReduceSum", ["x"], ["rank0"], keepdims=0),
            helper.make_node("ReduceSum", ["x", "axes"], ["rank1"], keepdims=0),
            helper.make_node("Identity", ["x"], ["rank2"]),
            helper.make_node("Unsqueeze", ["x", "axes"], ["rank3"]),
        ],
        [value("x", "float32", ["rows", 2])],
        [
            value("rank0", "float32", []),
            value("rank1", "float32", ["rows"]),
            value("rank2", "float32", ["rows", 2]),
            value("rank3", "float32", ["rows", 1, 2]),
        ],
        [axes],
    )
    scalar = graph(
        [helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0)],
        [value("x", "float32", ["rows", "width"])],
        [value("total", "float32", [])],
    )
    matrix = [[1.0, 2.0], [3.0, 4.0]]
    return [
        Definition(
            "dynamic_matrix",
            identity("float32", ["rows", "width"]),
            tensor_signature(("float32", (-1, -1))),
            tensors={"x": matrix},
        ),
        Definition(
            "dynamic_cube",
            identity("float32", ["rows", "height", "width"]),
            tensor_signature(("float32", (-1, -1, -1))),
            tensors={"x": cube},
        ),
        Definition(
            "fixed_inner_cube",
            identity("float32", ["rows", 2, 2]),
            tensor_signature(("float32", (-1, 2, 2), "x")),
            tensors={"x": cube},
        ),
        Definition(
            "fixed_batch",
            identity("float32", [2, 2]),
            tensor_signature(("float32", (2, 2), "x")),
            tensors={"x": matrix},
        ),
        Definition(
            "vector",
            identity("int64", ["rows"]),
            tensor_signature(("int64", (-1,), "x")),
            tensors={"x": [1, 9007199254740993]},
        ),
        Definition(
            "scalar_output",
            scalar,
            tensor_signature(("float32", (-1, -1))),
            tensors={"x": matrix},
        ),
        Definition(
            "output_ranks",
            ranks,
            tensor_signature(("float32", (-1, 2), "x")),
            tensors={"x": matrix},
        ),
        Definition(
            "long_tensor_narrow_signature",
            identity("float32", ["rows", 2]),
            tensor_signature(("float64", (-1, 2), "x")),
            tensors={"x": matrix},
        ),
    ]


def parameters():
    """A params schema with every kind of parameter that a request can get wrong."""
    schema = ParamSchema(
        [
            ParamSpec("temperature", "double", 0.5),
            ParamSpec("top_k", "long", 3),
            ParamSpec("tags", "string", ["a"], (-1,)),
            ParamSpec("flag", "boolean", True),
            ParamSpec("small", "float", 1.5),
            ParamSpec("when", "datetime", numpy.datetime64("2024-01-01T00:00:00")),
        ]
    )
    return [
        Definition(
            "params_columns",
            identity("float64", ["rows", 1]),
            column_signature(("double", "x"), params=schema),
            columns=["x"],
            rows=[[1.5], [2.5]],
            params={"temperature": 0.7, "top_k": 5},
        )
    ]


def definitions():
    """All models of this file."""
    return (
        element_types()
        + mixed_columns()
        + numeric_mixes()
        + texts()
        + arithmetic()
        + several_tensors()
        + shapes()
        + parameters()
    )
