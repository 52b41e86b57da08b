"""The generated tables of docs/experiments.md, each made of results alone."""

from __future__ import annotations

import json
from collections.abc import Sequence

from experiments.markdown import table
from experiments.material import (
    BERS,
    OWN,
    SEARCHED,
    Material,
    budget_lines,
    caption,
    cell,
    images,
    missing,
    percent,
    seeds,
)
from semflash.report import retransmission
from semflash.report.results import RunResult
from semflash.report.statistics import Condition, Series, mean_of, ordered, over_bsc, series


def budgets(material: Material) -> str:
    """Budgets that occur, and the task network of each."""
    rows = []
    for name, text in dict.fromkeys((r.budget.name, r.budget.text) for r in material.results):
        count = sum(result.budget.name == name for result in material.results)
        rows.append([name, text, cell(material.task(name)), str(count)])
    return table(["budget", "what", "task network, %", "results"], rows) if rows else missing("*")


def search(material: Material) -> str:
    """Every trial with its validation score; the best of a method and size in bold."""
    results = [r for r in material.of("search") if r.method != "task-network"]
    if not results:
        return missing("search")
    best: dict[tuple[str, int], tuple[float, int]] = {}
    for result in results:
        searched = result.method, result.payload_bytes
        best[searched] = max(best.get(searched, (-1.0, 0)), (score(result), -trial(result)))
    rows = []
    for result in sorted(results, key=lambda r: (r.method != OWN, r.method, -r.payload_bytes, trial(r))):
        won = (score(result), -trial(result)) == best[result.method, result.payload_bytes]
        text = f"{100 * score(result):.2f}"
        rows.append(
            [
                result.title,
                str(result.payload_bytes),
                str(trial(result)),
                changes(result),
                f"**{text}**" if won else text,
            ]
        )
    head = ["method", "bytes", "trial", "settings", "validation, mean of BER 0, 1 and 5 %"]
    which = ", ".join(map(str, sorted({result.seed for result in results})))
    measured = f"*Accuracy in percent, {images(results, 'val')} validation images, seed {which}.*"
    return f"{table(head, rows)}\n\n{budget_lines(results)}  \n{measured}"


def score(result: RunResult) -> float:
    """Mean validation accuracy over the search's rates."""
    values = [r.value for r in result.rows if r.split == "val" and r.rate in SEARCHED]
    return sum(values) / len(values) if values else 0.0


def trial(result: RunResult) -> int:
    """Number of the trial, out of the run's name."""
    parts = reversed(result.run.split("-"))
    return int(next(part[1:] for part in parts if part[:1] == "t" and part[1:].isdigit()))


def changes(result: RunResult) -> str:
    """What the trial sets."""
    given = result.figures.get("trial", {})
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in given.items()) or "as it is"


def ber(material: Material, size: int) -> str:
    """Method by bit error rate, comparison first, then full; then what was sent with retransmission."""
    results = material.of("ber", payload_bytes=size)
    found, rows = ordered(series(results)), []
    for one in found:
        for framing in one.framings():
            cells = [cell(one.bsc(rate, framing)) for rate in BERS]
            sent = one.bytes_text(over_bsc(BERS, framing))  # whole units may stay below the limit
            rows.append([one.name(framing), one.subject.budget, seeds(one), sent, *cells])
    if not rows:
        return missing("ber")
    head = ["method", "budget", "seeds", "bytes sent", *(percent(rate) for rate in BERS)]
    parts = [table(head, rows), caption(results), again(found)]
    return "\n\n".join(part for part in parts if part)


def again(found: Sequence[Series]) -> str:
    """Bytes and transmissions of payloads that were sent again, by bit error rate; empty: there are none."""
    rates = over_bsc(BERS, retransmission.RETRANSMIT)
    rows = [
        [one.name(), one.subject.budget, seeds(one), *retransmission.cells(one, rates)]
        for one in retransmission.resent(found)
    ]
    head = ["method", "budget", "seeds", *(percent(rate) for rate in BERS)]
    return resent_table("bit error rate", head, rows)


def resent_table(by: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table on retransmission with its title and note; empty: no rows."""
    title = f"{retransmission.TITLE}, by {by}:"
    return f"{title}\n\n{table(head, rows)}\n\n*{retransmission.NOTE}*" if rows else ""


def variants(material: Material, experiment: str) -> str:
    """Variant by bit error rate."""
    results = [r for r in material.of(experiment) if r.method != "task-network"]
    rows = [
        [one.subject.variant, seeds(one), *(cell(one.bsc(rate)) for rate in BERS)] for one in series(results)
    ]
    head = ["variant", "seeds", *(percent(rate) for rate in BERS)]
    return f"{table(head, rows)}\n\n{caption(results)}" if rows else missing(experiment)


def transfer(material: Material) -> str:
    """Data set by variant by bit error rate, each data set's uncompressed task network first."""
    results = material.of("transfer")
    rows = []
    for dataset in sorted({dataset_of(result) for result in results}):
        there = series([result for result in results if dataset_of(result) == dataset])
        for one in sorted(there, key=lambda one: one.subject.method != "task-network"):
            name = one.subject.variant or one.subject.title
            rows.append([dataset, name, seeds(one), *(cell(one.bsc(rate)) for rate in BERS)])
    head = ["data set", "variant", "seeds", *(percent(rate) for rate in BERS)]
    return f"{table(head, rows)}\n\n{caption(results)}" if rows else missing("transfer")


def dataset_of(result: RunResult) -> str:
    """The data set that a run was measured on."""
    return str(result.settings["task"]["dataset"])


def conditions(material: Material, experiment: str, channel: str, detail: str) -> str:
    """Rows: subject and a detail of the condition; columns: rates; then what was sent with retransmission."""
    results = material.of(experiment)
    found = [one for one in ordered(series(results)) if any(c.channel == channel for c in one.means)]
    rates = sorted({c.rate for one in found for c in one.means if c.channel == channel})
    rows, again = [], []
    for one in found:
        for key in dict.fromkeys(c._replace(rate=0.0) for c in one.means if c.channel == channel):
            keys = [key._replace(rate=rate) for rate in rates]
            first = [str(getattr(key, detail)), seeds(one)]
            rows.append([one.name(key.framing), *first, *(cell(one.means.get(key)) for key in keys)])
            if key.framing == retransmission.RETRANSMIT:
                again.append([one.name(), *first, *retransmission.cells(one, keys)])
    if not rows:
        return missing(experiment)
    head = ["method", detail.replace("_", " "), "seeds", *(percent(rate) for rate in rates)]
    by = "share of frames lost" if detail == "frame_bytes" else "bit error rate"
    parts = [table(head, rows), caption(results), resent_table(by, head, again)]
    return "\n\n".join(part for part in parts if part)


def int8(material: Material) -> str:
    """Float and int8 encoder beside each other, and the share of codes that differ."""
    results = material.of("int8")
    rows = []
    for one in series(results):
        members = [r for r in results if r.payload_bytes == one.subject.payload_bytes]
        shares = [r.figures["codes_differing"] for r in members if "codes_differing" in r.figures]
        for encoder in ("float", "int8"):
            cells = [cell(one.means.get(Condition("bsc", rate, encoder=encoder))) for rate in BERS]
            differ = mean_of(shares).percent() if shares and encoder == "int8" else "–"
            rows.append([f"{one.subject.payload_bytes} B", encoder, seeds(one), differ, *cells])
    head = ["payload", "encoder", "seeds", "codes that differ, %", *(percent(rate) for rate in BERS)]
    return f"{table(head, rows)}\n\n{caption(results)}" if rows else missing("int8")


def rate(material: Material) -> str:
    """Bytes and cost of the paper's networks."""
    rows = []
    for one in material.rates:
        cost = one["cost"].get("aot", {})
        figures = (
            ["refused: " + cost["refused"].splitlines()[0]] + ["–"] * 3
            if "refused" in cost
            else [
                f"{cost['macs']:,}",
                f"{cost['counts_median']:,}",
                f"{cost['encoder_ram_bytes']:,}",
                f"{cost['encoder_flash_bytes']:,}",
            ]
        )
        shapes = " x ".join(map(str, one["feature_shape"]))
        rows.append(
            [
                one["case"]["name"],
                shapes,
                f"{one['payload_bytes']:,}",
                f"{one['ratio_to_float_features']:g}",
                f"{one['ratio_to_image_bytes']:g}",
                *figures,
            ]
        )
    head = [
        "network",
        "features",
        "bytes",
        "times below float32 features",
        "times below the 8-bit image",
        "MACs",
        "instructions",
        "RAM, B",
        "flash, B",
    ]
    if not rows:
        return "No results yet: `python experiments/rate_table.py`"
    return (
        f"{table(head, rows)}\n\n*No budget: no training is involved; weights are random, bytes and cost "
        "follow from shapes.*"
    )
