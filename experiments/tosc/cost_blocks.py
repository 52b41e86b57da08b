"""Tables of what student and teacher cost, of likeness, and of a channel that changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.markdown import table
from experiments.studies.board_cost import board_table
from experiments.tosc.names import ZOO
from experiments.tosc.reading import Material, few, missing
from semflash.report.statistics import mean_of


def costs(material: Material) -> str:
    """Bytes and time of both."""
    cost = material.figures("costs", "distilled").get(0)
    if cost is None:
        return missing("costs-*")
    own = cost["encoder_bytes"] + cost["projection_bytes"]
    side = cost["teacher_input"]
    rows = [
        ["weights, bytes", f"{cost['teacher_bytes']:,}", f"{own:,}", _ratio(cost["teacher_bytes"], own)],
        [
            "one image on the host, ms",
            f"{cost['teacher_ms']:.2f}",
            f"{cost['student_ms']:.2f}",
            _ratio(cost["teacher_ms"], cost["student_ms"]),
        ],
    ]
    text = table(["", "teacher", "student", "ratio"], rows)
    return (
        f"{text}\n\n*Student: int8 graph {cost['encoder_bytes']:,} bytes, tables of all states "
        f"{cost['projection_bytes']:,}; its decoder on the edge, {cost['decoder_bytes']:,} bytes, is not in "
        "the bytes, but in the time: encoder, integer stages, payload and decoder. Teacher: images of "
        f"{side['height']}x{side['width']}, ONNX Runtime. One image at a time, one thread each, in turns "
        f"on one machine; the time that the quickest tenth of {cost['images']} images stayed below.*"
    )


def board(material: Material) -> str:
    """Instructions, cycles and memory of the bundles of the zoo."""
    found = {name: material.figures("board", name).get(0) for name in ZOO}
    costs = {name: cost for name, cost in found.items() if cost is not None}
    return board_table(costs) if costs else missing("board-*")


def _ratio(teacher: float, student: float) -> str:
    return f"{teacher / student:.1f} (less by {100 * (1 - student / teacher):.1f} %)"


def stored(material: Material) -> str:
    """The same epochs from the store and from the teacher."""
    live = material.figures("live", "stored or live").get(0)
    if live is None:
        return missing("live-*")
    rows = []
    for name in ("stored", "live"):
        rows += [
            [
                name,
                str(one["epoch"]),
                f"{one['loss']:.5f}",
                f"{100 * one['val_18']:.2f}",
                f"{one['seconds']:.1f}",
            ]
            for one in live["epochs"][name]
        ]
    cost = material.figures("costs", "distilled").get(0)
    size = (
        ""
        if cost is None
        else (
            f" The store's {cost['views']} views take {cost['store_bytes']:,} bytes, "
            f"{100 * share_of_views(cost):.2f} % of the images in as many views."
        )
    )
    same = live["same_views"]
    return (
        f"{table(['teacher', 'epoch', 'loss', 'validation at 18 dB, %', 'seconds'], rows)}\n\n"
        f"*{live['images']:,} images an epoch, the same views and noise, validation included in the time; "
        f"the last epoch is {epochs(live):.1f} times shorter with stored answers. One student's loss "
        f"against the answers to the same {same['images']:,} views: stored {same['loss_stored']:.6f}, live "
        f"{same['loss_live']:.6f}; no probability differs by more than "
        f"{same['largest_difference']:.5f}.{size}*"
    )


def epochs(live: Mapping[str, Any]) -> float:
    """How many times longer the last epoch took with a live teacher.

    The first epoch does not count, because the training is compiled in it.
    """
    stored_one, live_one = (live["epochs"][name][-1] for name in ("stored", "live"))
    return float(live_one["seconds"] / stored_one["seconds"])


def apart(live: Mapping[str, Any]) -> float:
    """By which share the loss against stored answers differs from that against live ones."""
    same = live["same_views"]
    return abs(float(same["loss_stored"] - same["loss_live"])) / float(same["loss_live"])


def share_of_views(cost: Mapping[str, Any]) -> float:
    """Bytes of the store of the bytes of the images in all views."""
    return float(cost["store_bytes"] / (cost["view_bytes"] * cost["views"]))


def similarity(material: Material) -> str:
    """How like the teacher the student is, with and without having learnt from it."""
    rows = []
    for variant in ("distilled", "undistilled"):
        found = material.figures("similarity", variant)
        if found:
            cells = [_mean(found, key) for key in ("logits", "geometry", "agree")]
            rows.append([variant + few(found), *cells])
    if not rows:
        return missing("similarity-*")
    (one, *_) = material.figures("similarity", rows[0][0].split(" ")[0]).values()
    head = ["student", "cosine of the logits", "correlation of the classes' geometry", "same label"]
    return (
        f"{table(head, rows)}\n\n*{one['images']:,} training images at {one['level']:g} dB. Logits: mean "
        "cosine with the teacher's stored answer, each less its mean. Geometry: cosines between the classes' "
        "means of what is sent, correlated with the same of the teacher's answers. Same label: share of "
        "images.*"
    )


def _mean(found: Mapping[int, Mapping[str, Any]], key: str) -> str:
    """Mean and spread over seeds, three digits."""
    one = mean_of([figures[key] for figures in found.values()])
    return f"{one.mean:.3f}" if one.spread is None else f"{one.mean:.3f} ± {one.spread:.3f}"


def fits(material: Material) -> str:
    """What the image codecs need at their lowest quality."""
    rows = []
    for dataset, size in (("fashion-mnist", 12), ("stamps", 4)):
        found = material.figures("fits", dataset).get(0)
        for name, one in ({} if found is None else found["sides"]).items():
            codec, side = name.split("-")
            rows.append(
                [
                    f"{dataset}, {size} bytes",
                    {"jpeg": "JPEG", "webp": "WebP"}[codec],
                    side,
                    str(one["least"]),
                    f"{one['median']:g}",
                    f"{100 * one['fit']:.0f}",
                ]
            )
    head = ["payload", "codec", "side", "least bytes", "median", "images that fit, %"]
    return table(head, rows) if rows else missing("fits-*")


def changing(material: Material) -> str:
    """The state that follows, beside states that stay, while the channel changes."""
    found = material.figures("changing", "distilled")
    if not found:
        return missing("changing-*")
    shapes: dict[str, dict[str, list[float]]] = {}
    for figures in found.values():
        for row in figures["trace"]["rows"]:
            shapes.setdefault(row["shape"], {}).setdefault(str(row["mode"]), []).append(row["value"])
    modes = list(next(iter(shapes.values())))
    rows = [
        [shape, *(mean_of(values).percent() if (values := one.get(mode)) else "–" for mode in modes)]
        for shape, one in shapes.items()
    ]
    count = next(iter(found.values()))["trace"]["images"]
    return (
        f"{table(['channel', *modes], rows)}\n\n*Accuracy in percent of the exported int8 codec, {count:,} "
        f"test images{few(found)}; auto: the state follows the estimate from pilots; genie: every image's "
        "ratio is known beforehand; numbers: a state that stays.*"
    )
