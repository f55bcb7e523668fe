"""What the makers of models hand to each other: one `Definition` per model directory.

A definition carries the graph, the signature that MLflow is told of, and sample data in the shape
in which requests are built from it. Nothing here writes files.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy
import onnx
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, Schema, TensorSpec


@dataclass
class Definition:
    """One model of the test suite.

    `columns` and `rows` describe tabular samples, `tensors` named arrays as nested lists. A model
    has one of the two, or both when it is to be asked in both ways.
    """

    name: str
    graph: onnx.ModelProto
    signature: ModelSignature | None = None
    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    tensors: dict[str, Any] = field(default_factory=dict)
    """Samples by the names of the graph's inputs."""
    input_example: Any = None
    params: dict[str, Any] | None = None
    """Values for the parameters of the signature, when it has some."""

    @property
    def kind(self) -> str:
        """`columns`, `tensors`, or `none` after the signature."""
        if self.signature is None:
            return "none"
        return "tensors" if self.signature.inputs.is_tensor_spec() else "columns"

    @property
    def named(self) -> bool:
        """Whether the inputs of the signature carry names."""
        return self.signature is not None and self.signature.inputs.has_input_names()


def column_signature(*columns, outputs: Schema | None = None, params: ParamSchema | None = None):
    """A signature of columns: each is `(type, name)`, `(type, name, required)` or `(type,)`."""
    specs = []
    for column in columns:
        kind, name, required = (*column, None, None)[:3]
        specs.append(ColSpec(kind, name=name, required=required is not False))
    return ModelSignature(inputs=Schema(specs), outputs=outputs, params=params)


def tensor_signature(*tensors, outputs: Schema | None = None):
    """A signature of tensors: each is `(dtype, shape)` or `(dtype, shape, name)`."""
    specs = []
    for tensor in tensors:
        dtype, shape, name = (*tensor, None)[:3]
        specs.append(TensorSpec(numpy.dtype(dtype), shape, name))
    return ModelSignature(inputs=Schema(specs), outputs=outputs)
