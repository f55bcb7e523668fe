"""Python's MLflow client with a large file, sent and read in parts that do not go through the server
of MLFLOW_TRACKING_URI. With the argument `encoded` the name of the file is one that addresses have
to encode; with `s3` too, and the addresses of the server are checked as well: the store and its
credentials are in the environment then.

Prints the key of the object as JSON. Every step asserts its own result.
"""

import hashlib
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import mlflow
import requests
from botocore.auth import SIGV4_TIMESTAMP, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

server = os.environ["MLFLOW_TRACKING_URI"]
name = "weights ä.bin" if sys.argv[1:] else "weights.bin"
size = 25 * 1024**2 + 17
content = random.Random(0).randbytes(size)


def signed_as_by_botocore(method, url, headers=None):
    """The signature of an address, made again by Amazon's own library from the same key and time."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    signature = query.pop("X-Amz-Signature")
    unsigned = f"{parts.scheme}://{parts.netloc}{parts.path}"
    request = AWSRequest(
        method=method,
        url=f"{unsigned}?{urlencode(query, quote_via=quote, safe='-_.~')}",
        headers=headers or {},
    )
    assert SIGV4_TIMESTAMP == "%Y%m%dT%H%M%SZ"
    request.context["timestamp"] = query["X-Amz-Date"]
    credentials = Credentials(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    auth = S3SigV4QueryAuth(credentials, "s3", "us-east-1")
    canonical = auth.canonical_request(request)
    made = auth.signature(auth.string_to_sign(request, canonical), request)
    assert made == signature, f"{canonical}\n{url}"
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in url


def large_file():
    folder = Path(tempfile.mkdtemp())
    source = folder / name
    source.write_bytes(content)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(source), "deep/er")
    found = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path=f"deep/er/{name}", dst_path=folder / "got"
    )
    assert hashlib.sha256(Path(found).read_bytes()).digest() == hashlib.sha256(content).digest()
    listed = mlflow.MlflowClient().list_artifacts(run.info.run_id, "deep/er")
    assert [(file.path, file.file_size) for file in listed] == [(f"deep/er/{name}", size)]
    return f"{run.info.experiment_id}/{run.info.run_id}/artifacts"


def addresses(root):
    api = f"{server}/api/2.0/mlflow-artifacts"
    file = {"path": "/home/anna/a b+c&d.bin"}
    begun = requests.post(f"{api}/mpu/create/{root}/x", json=file | {"num_parts": 3}).json()
    assert [part["part_number"] for part in begun["credentials"]] == [1, 2, 3]
    for part in begun["credentials"]:
        signed_as_by_botocore("PUT", part["url"])
    end = file | {"upload_id": begun["upload_id"]}
    aborted = requests.post(f"{api}/mpu/abort/{root}/x", json=end)
    assert aborted.status_code == 200, aborted.text
    found = requests.get(f"{api}/presigned/{root}/deep/er/{name}").json()
    signed_as_by_botocore("GET", found["url"])
    read = requests.get(found["url"], headers={"Range": "bytes=10-19"} | found["headers"])
    assert (read.status_code, read.content) == (206, content[10:20])
    assert "weights%20%C3%A4.bin" in read.headers["Content-Disposition"], read.headers


def direct():
    """A run whose artifacts are in the bucket itself, and a logged model of it."""
    experiment = mlflow.create_experiment("direct", artifact_location="s3://box/direct")
    client = mlflow.MlflowClient()
    run = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, "m").model_id
    api = f"{server}/api/2.0/mlflow/artifacts"
    for owner in [{"run_id": run}, {"model_id": model}]:
        wanted = owner | {"path": "a b/page.html", "expiration": 60}
        signed = requests.post(f"{api}/presigned-upload-url", json=wanted).json()
        assert signed["headers"] == {"Content-Type": "text/html"}, signed
        signed_as_by_botocore("PUT", signed["presigned_url"], signed["headers"])
        put = requests.put(signed["presigned_url"], data=b"<p>", headers=signed["headers"])
        assert put.status_code == 200, put.text
    wanted = {"run_id": run, "path": "a b/page.html"}
    signed = requests.post(f"{api}/presigned-download-url", json=wanted).json()
    assert signed["file_size"] == 3, signed
    signed_as_by_botocore("GET", signed["presigned_url"])
    assert requests.get(signed["presigned_url"]).content == b"<p>"
    assert client.list_artifacts(run, "a b")[0].file_size == 3


root = large_file()
if sys.argv[1:] == ["s3"]:
    addresses(root)
    direct()
print(json.dumps({"root": root}))
