"""Experiment 8: bytes per image and device cost of the paper's networks, without training.

    python experiments/rate_table.py [--only NAME ...] [--board qemu-stm32f405] [--out DIR]

For each network and image size: head of keras.applications with random weights, the paper's encoder behind
it (one 4x4 convolution with stride 4, GDN, PReLU, 8 centres), int8, built and run as `semflash bench` does.
Bytes and cost follow from shapes, not from what was learned. What is there already is not measured again; one
JSON per network goes to experiments/results/rate. Needs semflash[train] and, for the cost, the emulator.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "rate"
BUILDS = HERE.parent / "build" / "rate"
CALIBRATION_IMAGES = 8
BENCH_IMAGES = 3
SEED = 0
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Case:
    """A network at an image size, with the paper's latent channels and engine variants to measure."""

    name: str
    network: str
    side: int
    latent: int
    variants: tuple[str, ...] = ("aot",)


CASES = (
    Case("resnet50-224", "resnet50", 224, 32),
    Case("mobilenetv2-224", "mobilenetv2", 224, 12),
    Case("resnet50-32", "resnet50", 32, 32),
    Case("mobilenetv2-32", "mobilenetv2", 32, 12),
)


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [case.name for case in CASES]
    parser.add_argument("--only", action="append", choices=names, help="measure this network alone")
    parser.add_argument("--board", default="qemu-stm32f405")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        path = chosen.out / f"{case.name}.json"
        if (chosen.only and case.name not in chosen.only) or (path.is_file() and not chosen.again):
            continue
        result = measure(case, chosen.board)
        temporary = path.with_suffix(".json.tmp")
        temporary.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        temporary.replace(path)
        print(line(result), flush=True)
    return 0


def measure(case: Case, board: str) -> dict[str, Any]:
    """Rate and cost of one network as plain JSON values; a build that fails leaves its reason."""
    from semflash.errors import BuildError, ModelError

    codec, features = paper_codec(case)
    bits, size = codec.bits_per_code(), codec.payload_bytes
    image_bytes = case.side * case.side * 3
    feature_bytes = math.prod(features) * FLOAT_BYTES
    result: dict[str, Any] = {
        "case": dataclasses.asdict(case),
        "seed": SEED,
        "image_shape": [case.side, case.side, 3],
        "feature_shape": list(features),
        "latent_shape": list(codec.sizes.latent_shape),
        "symbols": codec.sizes.symbols,
        "bits_per_symbol": bits,
        "payload_bytes": size,
        "feature_bytes_float32": feature_bytes,
        "ratio_to_float_features": round(feature_bytes / size, 2),
        "ratio_to_image_bytes": round(image_bytes / size, 2),
        "board": board,
        "cost": {},
    }
    bundle = bundle_of(case, codec)
    for variant in case.variants:
        try:
            result["cost"][variant] = cost(bundle, variant, board)
        except (BuildError, ModelError) as error:
            result["cost"][variant] = {"refused": str(error)}
    return result


def paper_codec(case: Case) -> tuple[Any, tuple[int, ...]]:
    """The untrained codec behind the network's head, and the shape of the features."""
    import keras

    from semflash.codecs.registry import create
    from semflash.tasks.keras.config import describe
    from semflash.tasks.networks import build
    from semflash.training.recipes.recipe import TaskRecipe

    keras.utils.set_random_seed(SEED)
    image = (case.side, case.side, 3)
    head, _ = build(dataclasses.asdict(TaskRecipe(case.name, network=case.network)), image, 10)
    features = tuple(head.output_shape[1:])
    sizes = {
        "image_shape": image,
        "feature_shape": features,
        "encoder": "paper",
        "head": describe(head),
        "latent": case.latent,
        "levels": 8,
    }
    codec: Any = create("semanticnn", sizes)
    codec.device_graph.get_layer(head.name).set_weights(head.get_weights())
    return codec, features


def bundle_of(case: Case, codec: Any) -> Any:
    """Encoder and device tail as a bundle that can be built and measured; it has no decoder."""
    import msgspec
    import numpy as np

    from semflash.bundle import known
    from semflash.bundle.schema import Model
    from semflash.conversion.device import quantise_device
    from semflash.data.dataset import Dataset, Split
    from semflash.firmware.building.bare_model import bare_model

    shape = (CALIBRATION_IMAGES, case.side, case.side, 3)
    images = np.random.default_rng(SEED).integers(0, 256, shape, np.uint8)
    split = Split(images, np.zeros(len(images), np.int32))
    device = quantise_device(codec.device(), Dataset("noise", split, split, split, ("a", "b")))
    bare = bare_model(device.whole.data, Path(f"{case.name}.tflite"))
    models = (Model("encoder", bare.contract.models[0].file),)
    contract = msgspec.structs.replace(
        bare.contract, family="semanticnn", program=device.program, models=models
    )
    known.remember(bare.hash_hex, exported=True)  # made here, so that it needs no first run in a child
    return dataclasses.replace(bare, contract=contract)


def cost(bundle: Any, variant: str, board: str) -> dict[str, Any]:
    """What `semflash bench` measures of it."""
    import msgspec

    from semflash.bench.run import BenchPlan, run_bench
    from semflash.firmware.boards.descriptions import load_board
    from semflash.firmware.building.options import BuildOptions

    plan = BenchPlan(load_board(board), BuildOptions(out_dir=BUILDS), BENCH_IMAGES, SEED, timeout_s=120.0)
    (found,) = run_bench(bundle, [variant], plan)
    if found.codes_wrong:
        raise SystemExit(f"{bundle.contract.name}: {found.codes_wrong} images differ from {found.reference}")
    values = msgspec.to_builtins(found)
    dropped = ("host_seconds_per_image", "build_id", "board", "bundle_hash")
    kept = {key: value for key, value in values.items() if key not in dropped}
    return kept | {
        "encoder_ram_bytes": found.encoder_ram_bytes,
        "encoder_flash_bytes": found.encoder_flash_bytes,
    }


def line(result: dict[str, Any]) -> str:
    """One line for the terminal."""
    text = (
        f"{result['case']['name']}: {result['payload_bytes']} bytes, "
        f"{result['ratio_to_float_features']}x below float32 features"
    )
    for variant, found in result["cost"].items():
        if "refused" in found:
            text += f"; {variant}: {found['refused']}"
        else:
            text += (
                f"; {variant}: {found['counts_median']:,} instructions ({found['macs']:,} MACs), "
                f"RAM {found['encoder_ram_bytes']:,} B, flash {found['encoder_flash_bytes']:,} B"
            )
    return text


if __name__ == "__main__":
    raise SystemExit(main())
