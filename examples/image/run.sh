#!/bin/sh
# A container image of a model: built, run, asked, stopped. Needs Docker and curl.
# MLRS names the binary (mlrs unless set); the argument is the model, by a path or a URI.
set -eu
here=$(dirname "$0")
mlrs=${MLRS:-mlrs}
model=${1:-$here/../iris}
image=mlrs-example/iris:1

"$mlrs" image build -m "$model" -t "$image"

# Nothing is allowed that is not needed.
container=$(docker run --detach --read-only --cap-drop ALL --security-opt no-new-privileges \
    --publish 127.0.0.1::8080 "$image")
trap 'docker rm --force "$container" >/dev/null' EXIT
address=$(docker port "$container" 8080 | head -n 1)

tries=0
until curl --silent --fail --output /dev/null "http://$address/ready"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ]; then
        docker logs "$container" >&2
        exit 1
    fi
    sleep 0.1
done

curl --silent --fail --header 'Content-Type: application/json' \
    --data "@$here/../iris/serving_input_example.json" "http://$address/invocations"
echo

# SIGTERM: what is in flight is answered, then it ends.
docker stop "$container" >/dev/null
