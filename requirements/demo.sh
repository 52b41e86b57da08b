#!/usr/bin/env bash
# The demo: one bundle on one board, without and with injected bit errors, then on this computer with the whole test
# set; every code is checked. Stops the board at the end.
set -euo pipefail
semflash=$1 bundle=$2 board=$3 count=$4

trap '"$semflash" boards --stop "$board" >/dev/null' EXIT
echo "== $bundle on $board: build, flash, $count images"
"$semflash" run "$bundle" --board "$board" --count "$count" --ber 0 --check-golden
echo
echo "== the same board again, 1 % of all payload bits flipped on the way (injected)"
"$semflash" monitor "$bundle" --board "$board" --count "$count" --ber 0.01 --check-golden
echo
echo "== the same device C on this computer, all test images"
"$semflash" run "$bundle" --board native --count all --ber 0 --check-golden
