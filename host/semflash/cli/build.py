"""semflash build: firmware of a bundle for a board."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from semflash.cli import build_options

if TYPE_CHECKING:
    from semflash.firmware.building.result import BuildResult
    from semflash.settings import Settings

HELP = "build the firmware of a bundle for a board"
EPILOG = """examples:
  semflash build fashion-mnist-48
  semflash build my.semcodec --board nucleo_f446re
  semflash build my.semcodec --board native --kernels reference --json
  semflash build network.tflite --board nucleo_f446re    # any int8 network, without a codec

The build folder is a PlatformIO project of its own: open it, or run pio there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own flags."""
    build_options.add_target(parser, build_options.SUBJECT)
    build_options.add_build(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Build and show what came out."""
    result = build_options.build(args, settings)
    if args.json:
        import msgspec

        print(msgspec.json.encode(result).decode())
    else:
        show(result)
    return 0


def show(result: BuildResult) -> None:
    """The layers and sizes, for people."""
    from rich.table import Table

    from semflash.console import console as make_console

    console = make_console(highlight=False)
    layers = Table(box=None, pad_edge=False)
    layers.add_column("", justify="right")
    layers.add_column("layer", no_wrap=True, max_width=30)
    layers.add_column("operator", no_wrap=True)
    layers.add_column("kernel", no_wrap=True)
    layers.add_column("MACs", justify="right", no_wrap=True)
    layers.add_column("weights B", justify="right", no_wrap=True)
    reasons: dict[str, list[str]] = {}
    for index, layer in enumerate(result.layers):
        numbers = (f"{layer.macs:,}", f"{layer.weights_bytes:,}")
        layers.add_row(str(index), layer.name, layer.operator, layer.kernel, *numbers)
        reasons.setdefault(f"{layer.kernel}: {layer.why}", []).append(str(index))
    console.print(layers)
    for reason, numbered in reasons.items():
        console.print(
            f"  {reason} ({'layers' if len(numbered) > 1 else 'layer'} {', '.join(numbered)})", soft_wrap=True
        )
    console.print(f"CMSIS-NN    {result.cmsis_nn}")
    whole = f"{result.arena_bytes:,} B of it whole tensors" if result.arena_bytes else "no whole tensor"
    console.print(f"RAM         encoder {result.state_bytes:,} B, {whole}")
    sizes = result.sizes
    if sizes is not None:
        console.print(f"RAM, whole  {sizes.ram_static:,} B static (encoder and link buffers), without stack")
        console.print(
            f"flash       {sizes.flash:,} B: code {sizes.code:,}, tables {sizes.tables:,},"
            f" other {sizes.other_flash:,}"
        )
    console.print(f"bundle      {result.bundle_name} {result.bundle_hash[:8]}, build {result.build_id}")
    console.print(f"image       {result.image_path}", soft_wrap=True)
