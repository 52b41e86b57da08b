"""Write docs/zoo.md: a card for each bundle of the zoo, out of its codec.json; no number is typed by hand.

python benchmarks/zoo_cards.py            # write docs/zoo.md
python benchmarks/zoo_cards.py --check    # exit 1 when it is not what the bundles record
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from msgspec import UnsetType
from zoo_cuts import cut_table, cutting_control

from semflash.bundle.reader import Bundle, read_bundle
from semflash.bundle.schema import Measurement
from semflash.program.layout import Exactly
from semflash.program.tensors import Codes
from semflash.program.tokens.stages import SendTokens

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "host" / "semflash" / "zoo"
TARGET = ROOT / "docs" / "zoo.md"
CUTS = ROOT / "docs" / "zoo_cuts.json"
#: Data set -> what it is, and under which terms it is to be had. None of its images is in a bundle.
DATA = {
    "fashion-mnist": (
        "Fashion-MNIST, 28x28 grey, ten kinds of clothes (Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747)",
        "MIT, Zalando SE",
    ),
    "mnist": (
        "MNIST, 28x28 grey, handwritten digits (LeCun, Cortes, Burges)",
        "CC BY-SA 3.0, Yann LeCun and Corinna Cortes",
    ),
    "stamps": (
        "32x32 colour images, each one cut-out of Debian's tuxpaint-stamps-default on a random background "
        "(composed by semflash); training, validation and test show different cut-outs",
        "GPL-2, Bill Kendrick and the contributors of Tux Paint",
    ),
    "fashion-scenes": (
        "64x64 colour scenes, one tinted item of Fashion-MNIST among cut-outs of Debian's "
        "tuxpaint-stamps-default and fragments of other items (composed by semflash); training, validation "
        "and test show different items and cut-outs",
        "MIT, Zalando SE; GPL-2, Bill Kendrick and the contributors of Tux Paint",
    ),
    "stamps-focus": (
        "64x64 colour scenes, one cut-out of Debian's tuxpaint-stamps-default that matters, up to two others "
        "and a busy background (composed by semflash); training, validation and test show different cut-outs",
        "GPL-2, Bill Kendrick and the contributors of Tux Paint",
    ),
    "stamps-scenes": (
        "64x64 colour scenes of one to four cut-outs of Debian's tuxpaint-stamps-default (composed by "
        "semflash); training, validation and test show different cut-outs",
        "GPL-2, Bill Kendrick and the contributors of Tux Paint",
    ),
}
#: What a bundle is for, by the kind of its output.
TASKS = {"labels": "classification", "boxes": "detection", "anchors": "detection", "image": "pictures"}
TITLES = {"accuracy": "top-1 accuracy"}
HEADER = """# The zoo

Bundles that come with semflash; `semflash run NAME` builds, flashes and monitors one. Written by
`python benchmarks/zoo_cards.py` from each bundle's `codec.json`. Figures are percent with the int8 encoder
that runs on the device; bit errors are injected into the packed payload (seeded), and the decoder is told
their rate. In brackets: the 95 % interval, of accuracy after Wilson, of mAP by bootstrap over the images. Of
composed images the interval does not hold how few different cut-outs a split has. *Task network*: the same
network without compression. The bundles are part of semflash (Apache-2.0); the terms below are those of the
data they learnt from, which is not in them.
"""


def main() -> int:
    """Entry point; returns the exit code."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    text = cards([read_bundle(path) for path in sorted(ZOO.glob("*.semcodec"))])
    if check:
        if not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
            print("docs/zoo.md is stale: run python benchmarks/zoo_cards.py", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text, encoding="utf-8")
    return 0


def cards(bundles: list[Bundle]) -> str:
    """The whole file."""
    lines = ["| bundle | task | data | bytes per image |", "| --- | --- | --- | --- |"]
    lines += [
        f"| [`{bundle.name}`](#{bundle.name}) | {task_of(bundle)} | {bundle.record.recipe['dataset']} | "
        f"{bundle.payload_bytes} |"
        for bundle in bundles
    ]
    return "\n".join([HEADER, *lines, "", *(card(bundle) for bundle in bundles)])


def task_of(bundle: Bundle) -> str:
    """Task and number of classes in words."""
    output = bundle.output
    return f"{TASKS[output.kind]}, {len(output.class_names)} classes"


def payload_of(bundle: Bundle) -> str:
    """Bytes and what they hold."""
    layout, regions = bundle.program.payload, []
    if not isinstance(layout.head, UnsetType):
        map_of = bundle.program.tensor(layout.head.map)
        assert isinstance(map_of.holds, Codes)  # the bundle's reader has checked it
        regions.append(f"a map of {map_of.holds.levels} levels for {map_of.items} places, checked")
    for region in bundle.program.payload.regions:
        tensor = bundle.program.tensor(region.source)
        if isinstance(region.items, Exactly):
            bits = region.bits * tensor.items // tensor.rows
            what = f"{bits} bits" if isinstance(tensor.holds, Codes) else f"{bits // 16} symbols"
            regions.append(f"{what} of each place of level {region.items.level}")
        elif isinstance(tensor.holds, Codes):
            regions.append(f"{tensor.items} codes of {region.bits} bits, {tensor.holds.levels} centres")
        else:
            regions.append(f"{tensor.items // 2} symbols, I and Q as int8 each")
    most = "" if isinstance(layout.head, UnsetType) else "at most "
    return f"{most}{bundle.payload_bytes} bytes: {'; '.join(regions)}"


def card(bundle: Bundle) -> str:
    """One bundle's section."""
    height, width, channels = bundle.image_shape
    record = bundle.record
    rows = {
        "task": f"{task_of(bundle)}: {', '.join(bundle.contract.class_names)}",
        "image": f"{height}x{width}x{channels}",
        "payload": payload_of(bundle),
        "hash": f"`{bundle.hash_hex}`",
        "data": data_of(bundle)[0],
        "licence of the data": data_of(bundle)[1],
        "recipe": recipe_of(bundle),
        "device": device_of(bundle),
        "proof": proof_of(bundle),
    }
    if "teacher" in record.recipe:
        rows["teacher"] = teacher_of(record.recipe["teacher"])
    lines = [f"## {bundle.name}", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {text} |" for name, text in rows.items()]
    return "\n".join([*lines, "", *accuracy_of(bundle), *cuts_of(bundle), ""])


def device_of(bundle: Bundle) -> str:
    """Multiply-accumulates and operators of the graphs, and blocks of a transformer behind them."""
    record = bundle.record
    text = f"{record.macs:,} multiply-accumulates per image; {' '.join(record.operators)}"
    blocks = sum(len(stage.blocks) for stage in bundle.program.stages if isinstance(stage, SendTokens))
    return f"{text}; behind it {blocks} blocks of the tokens that are kept" if blocks else text


def cuts_of(bundle: Bundle) -> list[str]:
    """What is left of the accuracy when a control cuts the payload; nothing where none does.

    Raises:
        SystemExit: It was measured on other bytes, or not at all.
    """
    control = cutting_control(bundle)
    if control is None:
        return []
    measured = json.loads(CUTS.read_text(encoding="utf-8")).get(bundle.name) if CUTS.is_file() else None
    if measured is None or measured["hash"] != bundle.hash_hex:
        raise SystemExit(f"{bundle.name}: measure its cuts: python benchmarks/zoo_cuts.py")
    about = (
        f"Top-1 accuracy in percent when the control `{control.name}` keeps the first bytes of the payload "
        f"({control.low} to {control.high}); what is missing decodes to the neutral value."
    )
    return ["", about, "", *cut_table(measured).splitlines()]


def data_of(bundle: Bundle) -> tuple[str, str]:
    """Description and licence of the data set. SystemExit: one this script does not know."""
    name = bundle.record.recipe["dataset"]
    if name not in DATA:
        raise SystemExit(f"{bundle.name}: add the data set {name} and its licence to DATA")
    return DATA[name]


def recipe_of(bundle: Bundle) -> str:
    """Recipe, seed, epochs and versions."""
    recipe, versions = bundle.record.recipe["recipe"], bundle.record.recipe["versions"]
    stages = {stage: recipe.get(f"{stage}_epochs", 0) for stage in ("autoencoder", "task", "polish", "int8")}
    epochs = ", ".join(f"{stage} {count}" for stage, count in stages.items() if count)
    return (
        f"`{recipe['name']}` ({recipe['family']}), seed {bundle.record.seed}, epochs: {epochs}; "
        f"Keras {versions['keras']} on {versions['backend']}"
    )


def teacher_of(teacher: dict[str, Any]) -> str:
    """Whose stored answers it learnt from."""
    return (
        f"{teacher['name']}, {100 * teacher['test_accuracy']:.1f} % of the test images right, "
        f"{teacher['weights_bytes']:,} bytes of weights; {teacher['views']} stored views of each image, "
        f"{teacher['store_bytes']:,} bytes"
    )


def proof_of(bundle: Bundle) -> str:
    """What the export checked."""
    proof = bundle.record.proof
    if proof is None:
        raise SystemExit(f"{bundle.name}: exported without proof")
    return (
        f"{' = '.join(proof.references)} in every code of {proof.images:,} images; "
        f"{100 * proof.codes_differing_from_float:.1f} % of the codes differ from the float encoder's"
    )


def accuracy_of(bundle: Bundle) -> list[str]:
    """The table of the test split, and of the validation split where it was measured."""
    lines = []
    for split in ("test", "val"):
        for measured in bundle.record.measurements:
            if measured.split == split:
                lines += [*_table(bundle, measured), ""]
    if not lines:
        raise SystemExit(f"{bundle.name}: not measured; run semflash evaluate {bundle.name} --record")
    return lines[:-1]


def _table(bundle: Bundle, measured: Measurement) -> list[str]:
    what = {"test": "test", "val": "validation"}[measured.split]
    metric, quality = measured.metric, bundle.quality
    title = f"{TITLES.get(metric.name, metric.title)}, {measured.images:,} {what} images"
    cells: dict[str, Any] = {}
    if measured.split == "test" and bundle.record.task_value is not None:
        cells["task network"] = metric.number(bundle.record.task_value)
    for point in measured.points:
        value, low, high = (
            metric.scale * part for part in (point.score.value, point.score.low, point.score.high)
        )
        cells[quality.text(point.level)] = f"{value:.2f} ({low:.1f}..{high:.1f})"
    return [
        f"| {title} | {' | '.join(cells)} |",
        "| --- |" + " --- |" * len(cells),
        f"| {metric.unit_words} | {' | '.join(cells.values())} |",
    ]


if __name__ == "__main__":
    sys.exit(main())
