#!/bin/sh
# From an ONNX file to a registered model that answers, without Python.
# MLRS names the binary (mlrs unless set), MLFLOW_TRACKING_URI the server.
set -eu
here=$(dirname "$0")
mlrs=${MLRS:-mlrs}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$mlrs" package onnx "$here/../iris/model.onnx" -o "$work/iris" --name iris \
    --input-example "$here/flowers.csv" --signature "$here/signature.json" \
    --metadata owner=anna

"$mlrs" register "$work/iris" --name iris --alias champion

"$mlrs" predict -m models:/iris@champion -i "$here/flowers.csv" -t csv
