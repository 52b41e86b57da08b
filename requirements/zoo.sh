#!/usr/bin/env bash
# Trains, exports and measures the zoo's bundles again. Hours on two cores; a stopped run goes on when called again.
set -euo pipefail
semflash=$1
shift
cd "$(dirname "$0")/.."

for name in "$@"; do
    echo "== $name: train (runs/$name), export, measure"
    "$semflash" train "$name" --out "runs/$name"
    "$semflash" export "runs/$name" "host/semflash/zoo/$name.semcodec" --name "$name" --force
    "$semflash" evaluate "host/semflash/zoo/$name.semcodec" --record
done
