"""The fields of the lines that a monitor run records (docs/monitor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semflash.edge.labeller import Labelled
from semflash.edge.records import FORMAT, VERSION
from semflash.link.outcome import Received
from semflash.monitor.progress import Progress


def heading(progress: Progress) -> dict[str, Any]:
    """The fields of the `session` line (docs/monitor.md)."""
    bundle, hello = progress.bundle, progress.hello
    return {
        "format": FORMAT,
        "version": VERSION,
        "bundle": bundle.name,
        "bundle_hash": bundle.hash_hex,
        "board": hello.board,
        "engine": hello.engine,
        "build_id": f"{hello.build_id:08x}",
        "device_id": hello.device_id,
        "counter": hello.counter,
        "output": bundle.output.kind,
        "quality": bundle.quality.name,
        f"{bundle.quality.name}_injected": progress.level,
        "seed": progress.options.seed,
        **progress.channel,
        **({"controls": progress.adaptation.said()} if bundle.program.controls else {}),
        **({} if progress.rate is None else {"bytes_told": progress.rate.next}),
        "sample": progress.sample,
        "classes": list(bundle.contract.class_names),
    }


def image_record(
    labelled: Labelled,
    index: int,
    judged: Mapping[str, Any],
    ticks: int | None,
    count: int | None,
    quality: str,
) -> dict[str, Any]:
    """The fields of an `image` line (docs/monitor.md)."""
    received = labelled.received
    record: dict[str, Any] = {
        "index": index,
        "request": received.request,
        "attempt": received.attempt,
        **judged,
        "payload": received.payload.hex(),
        "payload_noisy": labelled.noisy.hex(),
        f"{quality}_injected": labelled.level,
        "flips": labelled.flips,
        f"{quality}_told": labelled.told,
        "pilot_bits": labelled.pilot_bits,
        "pilot_bit_errors": labelled.pilot_bit_errors,
        "damaged": received.damaged,
        **_steered(received),
        "ticks": ticks,
        "count": count,
        "device_us": received.device_us,
        "seconds": round(received.seconds, 6),
    }
    if labelled.golden_equal is not None:
        record["golden_equal"] = labelled.golden_equal
    return record


def _steered(received: Received) -> dict[str, Any]:
    """Fields of images whose controls or length are not the only possible ones."""
    fields: dict[str, Any] = {}
    if received.controls:
        fields |= {"controls": dict(received.controls), "bits": received.bits}
    if received.damaged_parts and received.damaged_parts != ((0, len(received.payload)),):
        fields["damaged_parts"] = [list(part) for part in received.damaged_parts]
    return fields


def summary_line(progress: Progress) -> dict[str, Any]:
    """The fields of a `progress` line (docs/monitor.md)."""
    tally, estimate, quality = progress.tally, progress.estimate, progress.bundle.quality.name
    name = tally.metric.name if progress.tally.metric.unit != "share" else "accuracy"
    return {
        "state": progress.state,
        "received": tally.received,
        "lost": tally.lost,
        "labelled": tally.labelled,
        name: tally.value,
        **progress.beside,
        **({} if progress.rate is None else {"bytes_told": progress.rate.next}),
        "images_per_s": tally.images_per_s,
        f"{quality}_injected": progress.level,
        f"{quality}_estimated": None if estimate is None else [estimate.value, estimate.low, estimate.high],
        "bytes_per_s": [round(progress.bytes_up), round(progress.bytes_down)],
        "reconnects": progress.reconnects,
    }
