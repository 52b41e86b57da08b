"""The int8 encoder of a trained run: exported with proof, then measured as the edge does it (LiteRT)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from experiments.plan import Run
from semflash.bundle.reader import read_bundle
from semflash.edge.evaluate import evaluate
from semflash.export.run import export
from semflash.report.results import Row
from semflash.training.run_dir import WEIGHTS_FILE

#: What a row calls the channel that makes a kind of quality.
CHANNELS = {"ber": "bsc", "snr": "awgn"}


def int8_rows(
    codec: Path, work: Path, data: Any, run: Run, data_dir: Path | None
) -> tuple[list[Row], dict[str, Any]]:
    """Rows of the int8 encoder, and how far its codes are from the float encoder's.

    Args:
        codec: directory of the trained run. work: where the bundle goes (kept).

    Raises:
        SemflashError: the export's proof fails.
    """
    # by content: trained codecs that --use names may have one folder name
    digest = hashlib.sha256((codec / WEIGHTS_FILE).read_bytes()).hexdigest()[:16]
    out = work / "bundles" / f"{run.method}-{run.bytes}-s{run.seed}-{digest}.semcodec"
    if not out.is_dir():
        out.parent.mkdir(parents=True, exist_ok=True)
        export(codec, out, name=run.id[:64], data_dir=data_dir, force=True)
    bundle = read_bundle(out)
    rows = []
    for one in (one for one in run.measures if one.encoder == "int8"):
        found = evaluate(bundle, data, one.rates, seed=run.seed, split=one.split)
        rows += [
            Row(
                split=one.split,
                channel=CHANNELS[found.measurement.quality],
                rate=point.level,
                value=point.score.value,
                metric=found.measurement.metric,
                encoder="int8",
                images=found.measurement.images,
            )
            for point in found.measurement.points
        ]
    proof = bundle.record.proof
    share = None if proof is None else proof.codes_differing_from_float
    figures = {
        "codes_differing": share,
        "macs": bundle.record.macs,
        "arena_bytes": bundle.record.arena_bytes,
        "bundle": bundle.hash_hex,
    }
    return rows, figures
