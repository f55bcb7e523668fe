#!/bin/sh
# Writes the same deployment in the ways that mlrs knows, into the folder that is named:
#   image.yaml   an image that holds the model, between two and ten pods, behind an Ingress
#   model.yaml   a model of a registry, fetched by each pod when it starts
#   kserve.yaml  the same, left to KServe
#   chart/       the first one for Helm
set -eu
folder="${1:?name a folder to write into}"
mlrs="${MLRS:-mlrs}"
mkdir -p "$folder"

"$mlrs" deploy kubernetes --name iris --namespace models \
    --image registry.example.com/team/iris:1 \
    --autoscale 2:10:70 --resources cpu=500m,memory=512Mi \
    --ingress iris.example.com --tls-secret iris-tls > "$folder/image.yaml"

"$mlrs" deploy kubernetes --name iris --namespace models \
    --model models:/iris/3 --runtime-image registry.example.com/team/mlrs:0.1 \
    --tracking-uri https://mlflow.example.com --credentials-secret mlflow \
    --replicas 2 > "$folder/model.yaml"

"$mlrs" deploy kubernetes --name iris --namespace models \
    --model models:/iris/3 --runtime-image registry.example.com/team/mlrs:0.1 \
    --tracking-uri https://mlflow.example.com --credentials-secret mlflow \
    --kserve > "$folder/kserve.yaml"

"$mlrs" deploy kubernetes --name iris \
    --image registry.example.com/team/iris:1 --autoscale 2:10:70 \
    --output helm --directory "$folder/chart"
