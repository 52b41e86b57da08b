#!/usr/bin/env bash
# Writes base.lock (build, flash, monitor) and test.lock (plus training and tests) for Python 3.11 and later.
set -euo pipefail
uv=$1
cd "$(dirname "$0")/.."

lock() {
    local out=$1
    shift
    echo "== requirements/$out"
    "$uv" pip compile pyproject.toml "$@" --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet -o "requirements/$out"
}

lock base.lock --extra build
# The same versions as in base.lock, and more packages.
lock test.lock --extra test --constraint requirements/base.lock
if grep -nE 'https?://|file:' requirements/*.lock; then
    echo "a lock file names a host" >&2
    exit 1
fi
