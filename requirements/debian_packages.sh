#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that are missing. Does nothing, quickly, when all are there.
set -euo pipefail

packages=(python3-venv gcc libc6-dev gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm dataset-fashion-mnist)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "== no apt here: install these yourself if they are missing: a C compiler, arm-none-eabi-gcc with newlib,"
    echo "   qemu-system-arm, and the Fashion-MNIST idx files (README, 'Without apt'); semflash doctor checks them"
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    if [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" != "install ok installed" ]; then
        missing+=("$package")
    fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "missing packages: ${missing[*]}" >&2
        echo "  try: as root, apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "== apt-get install ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
