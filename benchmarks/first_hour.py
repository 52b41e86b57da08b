"""The first hour, measured: pictures made by a script, then only the commands that `semflash new` prints.

nice python benchmarks/first_hour.py runs/hour                      # one way, seed 0
nice python benchmarks/first_hour.py runs/hour --write              # and keep it in docs/first_hour.json
nice python benchmarks/first_hour.py runs/hour --starts 3           # what the start is worth, on validation

4 classes x 60 photographs-like images of 64x64 (benchmarks/stamp_photos.py). `new --yes` prints the commands
to follow; each is run as it is printed, and timed. Afterwards the bundle is evaluated on 600 pictures of
cut-outs that were never seen, beside the task network without codec.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from stamp_photos import CLASSES, make_photos

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "first_hour.json"
PAGE = ROOT / "docs" / "own-images.md"
BEGIN, END = "<!-- first hour: written by benchmarks/first_hour.py --write -->\n", "<!-- end first hour -->\n"
GOAL_MINUTES, GOAL_SHARE = 15.0, 0.9
EACH = 60


def main() -> int:
    """Run what is asked for; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder that is made")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {TARGET.name}")
    parser.add_argument("--starts", type=int, metavar="SEEDS", help="compare with a random start instead")
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps; the goals do not count")
    args = parser.parse_args()
    args.work.mkdir(parents=True)
    places = make_photos(args.work, EACH)
    if args.starts:
        found: dict[str, Any] = {"starts": compare_starts(args.work, places, args.starts)}
    else:
        found = {"way": follow(args.work, places, args.quick)}
    print(json.dumps(found, indent=1))
    if args.write:
        kept = (json.loads(TARGET.read_text()) if TARGET.is_file() else {}) | found
        TARGET.write_text(json.dumps(kept, indent=1) + "\n")
        PAGE.write_text(with_block(PAGE.read_text(), table(kept)))
    way = found.get("way")
    missed = way is not None and (way["minutes"] > GOAL_MINUTES or way["share_of_network"] < GOAL_SHARE)
    return int(missed and not args.quick)


def semflash(*arguments: str, cwd: Path) -> str:
    """Run a command line of semflash; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "semflash.cli", *arguments],
        cwd=cwd,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def printed_commands(text: str) -> list[list[str]]:
    """The commands below ``next`` in what `semflash new` prints.

    >>> printed_commands("written  x\\nnext     cd mine\\n         semflash train\\n")
    [['cd', 'mine'], ['semflash', 'train']]
    """
    lines = text.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("next "))
    return [shlex.split(line.removeprefix("next").strip()) for line in lines[first:]]


def follow(work: Path, places: dict[str, Path], quick: bool) -> dict[str, Any]:
    """From `semflash new` to labels, then the accuracies."""
    cpu, began, loads = os.times(), time.monotonic(), [os.getloadavg()[0]]
    text = semflash("new", "mine", "--data", str(places["photos"]), "--yes", *(["--quick"] * quick), cwd=work)
    here, seconds, last = work, {"new": round(time.monotonic() - began, 1)}, ""
    for name, *rest in printed_commands(text):
        if name == "cd":
            here = here / rest[0]
            continue
        start = time.monotonic()
        last = semflash(*rest, cwd=here)
        seconds[rest[0]] = round(time.monotonic() - start, 1)
        loads.append(os.getloadavg()[0])
    minutes, after = (time.monotonic() - began) / 60, os.times()
    semflash("boards", "--stop", cwd=here)
    spent = after.children_user + after.children_system - cpu.children_user - cpu.children_system
    if "equal to golden" not in last and "accuracy" not in last:
        raise SystemExit(f"the last command gave no labels:\n{last}")
    return {
        "minutes": round(minutes, 1),
        "processor_minutes": round(spent / 60, 1),
        "load": [round(min(loads), 1), round(max(loads), 1)],
        "cores": len(os.sched_getaffinity(0)),
        "seconds": seconds,
        **accuracies(here, places),
    }


def accuracies(project: Path, places: dict[str, Path]) -> dict[str, Any]:
    """Of the bundle on unseen pictures, without and with bit errors, and of the network without codec."""
    flags = ("--dataset", str(places["unseen"]), "--ber", "0,0.01", "--json")
    found = json.loads(semflash("evaluate", *flags, cwd=project))
    network = network_accuracy(project / "runs" / "mine" / "task", places["unseen"])
    clean, noisy = (point["accuracy"] for point in found["points"])
    return {
        "payload_bytes": found["payload_bytes"],
        "unseen_images": found["images"],
        "accuracy": round(clean, 4),
        "accuracy_at_1_percent_ber": round(noisy, 4),
        "accuracy_of_network": round(network, 4),
        "share_of_network": round(clean / network, 3),
    }


def network_accuracy(run: Path, folder: Path) -> float:
    """Share of right labels of a task network on the test part of a folder."""
    from semflash.data.registry import load_dataset
    from semflash.training.task import load_task

    task = load_task(run)
    data = load_dataset(folder, image_size=task.info.image_shape[:2])
    return task.accuracy(data.test)


def compare_starts(work: Path, places: dict[str, Path], seeds: int) -> dict[str, Any]:
    """Accuracy of the task network on 600 validation pictures (of cut-outs that neither training nor report
    shows), begun with the packaged network and at random, for some seeds."""
    found: dict[str, Any] = {"images": 150 * len(CLASSES), "seeds": seeds}
    for name, flags in (("objects-64", ()), ("random", ("--random-start",))):
        project = work / name
        semflash("new", name, "--data", str(places["photos"]), "--yes", *flags, cwd=work)
        found[name] = []
        for seed in range(seeds):
            run = f"runs/{seed}"
            semflash("train", "photos", "--only-task", "--seed", str(seed), "--out", run, cwd=project)
            found[name].append(round(network_accuracy(project / run / "task", places["choosing"]), 4))
    return found


def with_block(page: str, text: str) -> str:
    """The page with the text between its two marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{text}{END}{rest.partition(END)[2]}"


def table(kept: dict[str, Any]) -> str:
    """What was measured, in sentences and a table."""
    lines = []
    if way := kept.get("way"):
        steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in way["seconds"].items())
        low, high = way["load"]
        lines += [
            f"By `benchmarks/first_hour.py`: {len(CLASSES)} classes of {EACH} composed pictures of 64x64,",
            f"the printed commands alone, the emulated board. {way['minutes']:.1f} minutes on the clock of a",
            f"machine of {way['cores']} cores, whose load was {low} to {high} meanwhile (above",
            f"{way['cores']} others were at work, too); {way['processor_minutes']:.1f} minutes of processor",
            f"time ({steps}).",
            f"On {way['unseen_images']} pictures of cut-outs that the training never saw:",
            "",
            "| | accuracy |",
            "| --- | --- |",
            f"| task network without codec | {way['accuracy_of_network']:.1%} |",
            f"| {way['payload_bytes']} bytes per picture | {way['accuracy']:.1%}"
            f" ({way['share_of_network']:.1%} of the network's) |",
            f"| the same with 1 % of the bits flipped | {way['accuracy_at_1_percent_ber']:.1%} |",
            "",
        ]
    if starts := kept.get("starts"):
        mean = {name: sum(starts[name]) / len(starts[name]) for name in ("objects-64", "random")}
        lines += [
            f"Task network on {starts['images']} validation pictures, {starts['seeds']} seeds: begun with",
            f"`objects-64` {mean['objects-64']:.1%}, at random {mean['random']:.1%}.",
            "",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
