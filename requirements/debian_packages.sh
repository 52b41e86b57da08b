#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that are missing. Does nothing, quickly, when all are there.
#   debian_packages.sh         what building, flashing and monitoring need; fails when it cannot be had
#   debian_packages.sh test    what the tests need besides; what cannot be had is named, and its tests skip with the reason
set -euo pipefail

packages=(python3-venv gcc libc6-dev gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm dataset-fashion-mnist)
# chromium opens the report, the stamps are images of two of the zoo's bundles, clang fuzzes the device's decoder.
test_packages=(chromium clang clang-format tuxpaint-stamps-default)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "== no apt here: install these yourself if they are missing: a C compiler, arm-none-eabi-gcc with newlib,"
    echo "   qemu-system-arm, and the Fashion-MNIST idx files (README, 'Without apt'); semflash doctor checks them"
    exit 0
fi

# install PACKAGE...: those of them that are missing
install() {
    local missing=() as_root=()
    for package in "$@"; do
        if [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" != "install ok installed" ]; then
            missing+=("$package")
        fi
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "missing packages: ${missing[*]}" >&2
            echo "  try: as root, apt-get install ${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "== apt-get install ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

if [ "${1:-}" = test ]; then
    for package in "${test_packages[@]}"; do
        install "$package" || echo "== $package cannot be installed: the tests that need it will be skipped"
    done
    # libFuzzer's runtime is a package of its own since clang 14 of Debian 12; before, clang brings it.
    if command -v clang >/dev/null; then
        runtime="libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
        ! apt-cache show "$runtime" >/dev/null 2>&1 || install "$runtime"
    fi
else
    install "${packages[@]}"
fi
