#!/usr/bin/env bash
# Writes base.lock (build, flash, monitor), test.lock (plus training and tests) and docs.lock (the docs site) for Python
# 3.11 and later.
set -euo pipefail
uv=$1
cd "$(dirname "$0")/.."

lock() {
    local out=$1
    shift
    echo "== requirements/$out"
    "$uv" pip compile "$@" --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet -o "requirements/$out"
}

lock base.lock pyproject.toml --extra build
# The same versions as in base.lock, and more packages.
lock test.lock pyproject.toml --extra test --constraint requirements/base.lock
lock docs.lock requirements/docs.in --constraint requirements/test.lock
if grep -nE 'https?://|file:' requirements/*.lock; then
    echo "a lock file names a host" >&2
    exit 1
fi
