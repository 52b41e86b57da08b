"""Measure the accuracy of bundles whose payload a control cuts, by bytes kept and by bit error rate.

    python benchmarks/zoo_cuts.py                        # the zoo's, on test: writes docs/zoo_cuts.json
    python benchmarks/zoo_cuts.py BUNDLE --split val     # prints a table, to choose by; writes nothing

The int8 encoder's payloads are cut by the reference executor with the control, bits of what is left are
flipped (seeded as in `semflash evaluate`), and the decoder is told the rate. `benchmarks/zoo_cards.py` puts
the figures into docs/zoo.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from doc_block import table

from semflash.bundle.reader import Bundle, read_bundle
from semflash.channels.bits import channel_rng, flip_bits
from semflash.data.registry import load_dataset
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import BATCH, GoldenEncoder
from semflash.program.controls import Control, settle
from semflash.program.layout import Rest
from semflash.program.payload import encode

ROOT = Path(__file__).resolve().parent.parent
ZOO, RESULTS = ROOT / "host" / "semflash" / "zoo", ROOT / "docs" / "zoo_cuts.json"
BERS = (0.0, 2.5e-3, 1e-2, 5e-2)
#: Shares of the whole payload that are kept.
SHARES = (0.25, 0.5, 0.75, 1.0)
SEED = 0


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", nargs="?", help="measure this one and print it")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images")
    chosen = parser.parse_args()
    if chosen.bundle:
        print(cut_table(measure(read_bundle(chosen.bundle), chosen.split, chosen.limit)))
        return 0
    bundles = [read_bundle(path) for path in sorted(ZOO.glob("*.semcodec"))]
    found = {one.name: measure(one, "test", chosen.limit) for one in bundles if cutting_control(one)}
    RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


def cutting_control(bundle: Bundle) -> Control | None:
    """The control that says how many bytes of the payload are sent; None: nothing cuts it."""
    items = [region.items for region in bundle.program.payload.regions]
    limits = {each.limit for each in items if isinstance(each, Rest)}
    return next((control for control in bundle.program.controls if control.name in limits), None)


def measure(bundle: Bundle, split: str, limit: int | None) -> dict[str, Any]:
    """Accuracy by bytes kept and BER.

    Raises:
        SystemExit: no control cuts the bundle's payload.
    """
    control = cutting_control(bundle)
    if control is None:
        raise SystemExit(f"{bundle.name}: no control cuts its payload")
    data = load_dataset(bundle.record.recipe["dataset"])
    part = data.val if split == "val" else data.test
    images, labels = part.images[:limit], part.labels[:limit]
    encoder, decoder, points = GoldenEncoder(bundle), EdgeDecoder(bundle), []
    parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    runs = [encoder.run(part).tensors for part in parts]
    for share in SHARES:
        size = max(control.low, round(share * control.high))
        used = settle(bundle.program.controls, {control.name: size})
        sent = [encode(bundle.program, tensors, used) for tensors in runs]
        payloads, bits = np.concatenate([s.payloads for s in sent]), np.concatenate([s.bits for s in sent])
        for ber in BERS:
            received = flip_bits(payloads, ber, channel_rng(SEED, ber))
            right = int((decoder.logits(received, ber, bits=bits).argmax(1) == labels).sum())
            points.append({"bytes": size, "ber": ber, "accuracy": right / len(labels)})
    return {
        "hash": bundle.hash_hex,
        "control": control.name,
        "split": split,
        "images": len(labels),
        "seed": SEED,
        "points": points,
    }


def cut_table(measured: dict[str, Any]) -> str:
    """One row for each number of bytes kept, one column a BER, in percent."""
    points = {(point["bytes"], point["ber"]): point["accuracy"] for point in measured["points"]}
    sizes, bers = (sorted({key[place] for key in points}) for place in (0, 1))
    images = f"{measured['images']:,} {measured['split']} images"
    head = [f"bytes kept, {images}", *(f"BER {100 * ber:g} %" for ber in bers)]
    return table(head, [[f"{size}", *(f"{100 * points[size, ber]:.2f}" for ber in bers)] for size in sizes])


if __name__ == "__main__":
    sys.exit(main())
