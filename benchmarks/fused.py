"""Instructions per MAC, RAM and flash of the streaming engine on the emulated Cortex-M4.

    python benchmarks/fused.py [--weights fast|small] [--plain-c] [ENCODER.tflite ...]

Without files: the shapes of tests/codegen/fused/fixed_models.py (random weights; they hardly
change the counts).
RAM is the state plus the stack below push_row, flash the code and tables of the engine in the image.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / room) for room in ("tests", "codegen", "host")]


def main() -> int:
    from codegen.fused import fixed_models

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", nargs="*", type=Path, help="encoders that stream completely")
    parser.add_argument("--weights", choices=("fast", "small"), default="fast")
    parser.add_argument("--plain-c", action="store_true", help="the C twins instead of the assembly")
    args = parser.parse_args()
    models = {path.stem: path.read_bytes() for path in args.files} or {
        "stem + encoder, 32x32x3": fixed_models.stem_and_encoder(32),
        "stem + encoder, 96x96x3": fixed_models.stem_and_encoder(96),
        "ResNet-50 head, 224x224x3": fixed_models.resnet_head(),
        "Fashion-MNIST encoder, 28x28x1": fixed_models.fashion_encoder(),
    }
    print(
        "| encoder | MAC | instructions | per MAC | RAM B | flash B |\n| --- | --- | --- | --- | --- | --- |"
    )
    for name, model in models.items():
        print(row(name, model, small=args.weights == "small", plain_c=args.plain_c), flush=True)
    return 0


def row(name: str, model: bytes, *, small: bool, plain_c: bool) -> str:
    """One line of the table; the values are compared with tflite-micro first.

    Raises:
        SystemExit: the emulator's values differ.
    """
    from codegen.fused import emulator
    from codegen.fused.batch import streamed
    from codegen.fused.references import golden

    item = streamed(model, small=small)
    with tempfile.TemporaryDirectory() as folder:
        flags = ("-DSF_FUSED_PLAIN_C",) if plain_c else ()
        image = emulator.build([item], Path(folder), patterns=1, flags=flags)
        measured = emulator.run(image)[0, 0]
        flash = sum(emulator.flash_bytes(image, Path(folder)))
    source = item.chain.layers[0].source
    micro, _ = golden(model, emulator.firmware_images((source.height, source.width, source.channels), 1))
    if (micro.reshape(-1) != measured.latent).any():
        raise SystemExit(f"{name}: the emulator's values differ from tflite-micro's")
    macs = sum(layer.macs for layer in item.chain.layers)
    ram = item.plan.state_bytes + measured.stack_bytes
    per_mac = measured.instructions / macs
    return f"| {name} | {macs:,} | {measured.instructions:,.0f} | {per_mac:.3f} | {ram:,} | {flash:,} |"


if __name__ == "__main__":
    sys.exit(main())
