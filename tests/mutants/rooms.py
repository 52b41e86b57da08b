"""Which sources are mutated, and which tests have to notice: the one table to update when a file moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Room:
    """A room of the product.

    Attributes:
        name: stands in the names of its mutants.
        sources: globs of the files that are mutated, from the repository's root.
        tests: globs of its test files. Python: coverage chooses among them. C: all of them, in this order.
    """

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]


def _each(pattern: str, names: str) -> tuple[str, ...]:
    """The pattern with each of the names in place of {}."""
    return tuple(pattern.replace("{}", name) for name in names.split())


#: Without the tests that train, run all 10,000 images or wait for a real clock: seconds a mutant are the aim.
ROOMS = (
    Room(
        "link",
        ("host/semflash/link/**/*.py", "host/semflash/channels/*.py"),
        (
            *_each(
                "tests/host/test_{}*.py",
                "frame sequence pilots session fault link custody patience socket bridge_port",
            ),
            *_each(
                "tests/host/test_{}.py",
                "raw_record bundle_payload baseline_channels channel* symbol_channels monitor",
            ),
            "tests/c/test_hostile_link.py",
        ),
    ),
    Room(
        "codegen",
        ("codegen/semflash_codegen/**/*.py",),
        (
            *_each(
                "tests/codegen/test_{}.py",
                "passes refusals numbers more_operators_refused generated_text tflm_text names cuts"
                " wide_softmax more_operators brought_operators brought_refused rewrites moving"
                " bit_exactness programs options tflite_verify",
            ),
            *_each("tests/codegen/fused/test_{}.py", "plan_and_text requantise limits kernels"),
        ),
    ),
    Room(
        "bundle",
        (
            "host/semflash/fields.py",
            *_each("host/semflash/{}/*.py", "bundle program program/reference"),
            *_each("host/semflash/outputs/{}.py", "anchor_boxes detections kinds"),
        ),
        _each(
            "tests/host/test_{}.py",
            "bundle bundle_bounds bundle_payload bundle_tail known_bundles program* edge judge"
            " anchor_detection detection",
        ),
    ),
    Room(
        "device",
        ("device/src/*.c", "device/stages/*.c"),
        (
            *_each(
                "tests/c/test_{}.py", "device_protocol tail_and_packing layout device* frames crc_and_cobs"
            ),
            "tests/host/test_native.py",
            *_each("tests/c/test_{}.py", "hostile_link sanitizers"),
        ),
    ),
    Room(
        "firmware",  # what it chooses with and checks by; the rest drives programs of others
        (
            *_each("host/semflash/firmware/{}/*.py", "boards probes"),
            *_each(
                "host/semflash/firmware/building/{}.py",
                "bare_model device_graph elf memory_map options project result",
            ),
        ),
        (
            *_each("tests/host/test_{}*.py", "board hardware_map probes flash_verdicts"),
            *_each("tests/host/test_{}.py", "bench native"),
        ),
    ),
    Room(
        "edge",
        (
            *_each("host/semflash/edge/{}.py", "labeller golden split"),
            *_each(
                "host/semflash/outputs/{}.py", "image labels level_map metrics objects pictured psnr_ssim"
            ),
            "host/semflash/monitor/tally.py",
        ),
        _each(
            "tests/host/test_{}.py",
            "judge psnr_ssim pictured_bundle edge edge_tally edge_evaluate monitor monitor_reconnect",
        ),
    ),
)


def files(globs: tuple[str, ...], root: Path = ROOT) -> Iterator[str]:
    """Paths from the root that the globs match, each once, in the globs' order."""
    seen = set()
    for pattern in globs:
        for path in sorted(root.glob(pattern)):
            name = path.relative_to(root).as_posix()
            if name not in seen and path.stat().st_size:
                seen.add(name)
                yield name
