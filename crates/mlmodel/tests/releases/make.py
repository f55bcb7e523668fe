"""Prints the schemas that one release of MLflow writes, as JSON texts by what they are.

    python make.py

with the release importable: for each of 1.27.0, 1.30.1, 2.0.1, 2.2.2, 2.3.2, 2.4.2, 2.6.0, 2.7.1, 2.8.1,
2.9.2, 2.10.2, 2.12.2, 2.14.3, 2.16.2, 2.19.0, 2.22.0, 3.0.1, 3.3.2 and 3.8.1, the package
`mlflow-skinny` was put on the path. `schemas.json` has each text once, with the first release of
those that wrote it. What a release cannot make is left out.
"""

import json

from mlflow.types import schema

Column, Scalar, Make = schema.ColSpec, schema.DataType, schema.Schema


def params():
    """One parameter of each type."""
    made = schema.ParamSpec
    return schema.ParamSchema(
        [
            made("a", "string", "x"),
            made("b", "long", 3),
            made("c", "double", [1.0], (-1,)),
            made("e", "boolean", True),
            made("f", "integer", 2),
            made("g", "float", 0.5),
        ]
    )


def nested(kind):
    """An object with a property that need not be there."""
    inner = [
        schema.Property("p", Scalar.string),
        schema.Property("q", schema.Array(Scalar.double), required=False),
    ]
    return Column(kind(schema.Object(inner)), "o", required=False)


MADE = {
    "cols": lambda: Make([Column(kind.name, f"c_{kind.name}") for kind in Scalar]),
    "unnamed": lambda: Make([Column("double"), Column("long")]),
    "optional": lambda: Make([Column("double", "a"), Column("string", "b", optional=True)]),
    "notrequired": lambda: Make([Column("double", "a"), Column("string", "b", required=False)]),
    "array": lambda: Make([Column(schema.Array(Scalar.long), "l")]),
    "object": lambda: Make([nested(lambda kind: kind)]),
    "arrobj": lambda: Make([nested(schema.Array)]),
    "map": lambda: Make([Column(schema.Map(Scalar.string), "m")]),
    "vec": lambda: Make([Column(schema.SparkMLVector(), "v")]),
    "any": lambda: Make([Column(schema.AnyType(), "v")]),
    "params1": params,
}


def main():
    """Prints what this release can make."""
    texts = {}
    for what, make in MADE.items():
        try:
            texts[what] = make().to_json()
        except (AttributeError, TypeError):
            continue
    print(json.dumps(texts, indent=1))


if __name__ == "__main__":
    main()
