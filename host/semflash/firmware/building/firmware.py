"""bundle + board -> firmware: generated C, a self-contained build folder, compiler, checks of the image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semflash.bundle.reader import Bundle, read_bundle
from semflash.errors import BuildError, UsageError
from semflash.firmware import resources
from semflash.firmware.boards.descriptions import Board
from semflash.firmware.building import elf, memory_map, platformio, sources
from semflash.firmware.building.editor import write_editor_files
from semflash.firmware.building.model import Model, generate_model
from semflash.firmware.building.options import DEVICE_ID_BYTES_MAX, PILOT_BYTES, PILOT_BYTES_MAX, BuildOptions
from semflash.firmware.building.project import exclusive
from semflash.firmware.building.result import FILE_NAME, BuildResult, ImageSizes, MemoryKinds

BUILD_ROOT = Path("build")
_BENCH_WRAPS = ("sf_encoder_begin", "sf_encoder_push_row")
STACK_BYTES = 4096  # what a board must keep free for the stack at least


@dataclass(frozen=True)
class Image:
    """What was compiled and linked, and checked.

    Attributes:
        path: The ELF file, or the shared library of board `native`.
        build_id: The first 32 bits (hex) of the SHA-256 over all sources and settings.
        convolutions: CMSIS-NN functions that were found in it.
        sizes: Flash and RAM; None for `native`.
        memory: What they are for; None for `native`.
    """

    path: Path
    build_id: str
    convolutions: tuple[str, ...]
    sizes: ImageSizes | None = None
    memory: MemoryKinds | None = None


def build(
    bundle_path: str | Path,
    board: Board,
    *,
    engine: str = "aot",
    kernels: str = "auto",
    weights: str = "fast",
    out_dir: Path | None = None,
    cmsis_nn_dir: Path | None = None,
    tflm_dir: Path | None = None,
    pilot_bytes: int = PILOT_BYTES,
) -> BuildResult:
    """Build the firmware of a bundle for a board.

    Args:
        bundle_path: bundle directory, or the name of a bundle of the zoo.
        engine: See :class:`BuildOptions`.
        kernels: See there.
        weights: See there.
        out_dir: See there.
        cmsis_nn_dir: See there.
        tflm_dir: See there.
        pilot_bytes: See there.

    Raises:
        BundleError, ModelError: the bundle cannot be read or compiled.
        BuildError: it does not fit the board, or does not compile or link.
        ToolMissingError: no compiler, or no TFLM tree.
    """
    options = BuildOptions(engine, kernels, weights, out_dir, cmsis_nn_dir, tflm_dir, pilot_bytes)
    return build_bundle(read_bundle(bundle_path), board, options)


def build_bundle(bundle: Bundle, board: Board, options: BuildOptions) -> BuildResult:
    """:func:`build` for a bundle in memory."""
    model = generate_model(bundle, board, options)
    check_fits(model, board)
    folder = (options.out_dir or BUILD_ROOT / f"{bundle.name}-{board.name}").resolve()
    files = sources.gather(
        resources.root(), board, model.files, model.cmsis, model.library, bench=options.bench
    )
    settings = sources.defines(board) | _link_settings(options)
    link = [
        *sources.link_flags(board),
        "-Wl,--defsym=sf_stack_bytes=0",  # check_stack says by how much it fails
        f"-Wl,-Map={memory_map.FILE_NAME}",
    ]
    if options.bench:
        link += [f"-Wl,--wrap={name}" for name in _BENCH_WRAPS]
        files["model/sf_bench.h"] = _bench_header(model)
    own = {"SF_DEVICE_ID": _identity(options.device_id)} if options.device_id else {}
    build_id = sources.build_id(files, sources.settings_ini(settings | own, link, model.library, board=board))
    own["SF_BUILD_ID"] = f"0x{build_id}u"
    if board.kind == "native":
        settings |= own
    else:
        lines = [f"#define {name} {value}\n" for name, value in sorted(own.items())]
        files["model/sf_build.h"] = "".join(lines).encode()
        ini = sources.settings_ini(settings, link, model.library, board=board)
        files["semflash.ini"] = ini.encode("utf-8")
    with exclusive(folder):
        unchanged = _is_built(folder, build_id)
        sources.place(files, folder)
        if board.kind == "native":
            path = _compile_native(files, settings, folder, reuse=unchanged)
            image = Image(path, build_id, check_convolutions(path, model))
        else:
            write_editor_files(folder)
            timeout_s = platformio.BUILD_TIMEOUT_S * (1 if model.library is None else 4)
            path, sizes = _compile_firmware(board, folder, timeout_s)
            check_stack(sizes, board)
            kinds = memory_map.read(folder / memory_map.FILE_NAME)
            image = Image(path, build_id, check_convolutions(path, model), sizes, kinds)
        result = _result(folder, bundle, board, model, image)
        result.save()
    return result


def _bench_header(model: Model) -> bytes:
    """sf_bench.h, which turns the layer clock on."""
    steps = 1 + max(layer.step for layer in model.layers)
    return f"#define SF_BENCH 1\n#define SF_BENCH_LAYERS {steps}\n".encode()


def _link_settings(options: BuildOptions) -> dict[str, str]:
    """C macros of the link."""
    settings = {"SF_LINK_PILOT_BYTES": str(check_pilots(options.pilot_bytes))}
    if options.fragment_bytes:
        settings["SF_LINK_FRAGMENT_BYTES"] = str(options.fragment_bytes)
    return settings


def _identity(device_id: str) -> str:
    """The bytes of an identity as C.

    Raises:
        UsageError: it is not hex, or too long.
    """
    try:
        identity = bytes.fromhex(device_id)
    except ValueError:
        identity = b""
    if not 0 < len(identity) <= DEVICE_ID_BYTES_MAX:
        raise UsageError(
            f"an identity is 1 to {DEVICE_ID_BYTES_MAX} bytes in hex",
            value=device_id,
            remedy="--device-id 0a1b",
        )
    return ",".join(f"0x{byte:02x}" for byte in identity)


def check_pilots(pilot_bytes: int) -> int:
    """The number of pilot bytes itself. UsageError: out of range."""
    if not 0 <= pilot_bytes <= PILOT_BYTES_MAX:
        raise UsageError(
            f"pilot bytes are 0 to {PILOT_BYTES_MAX:,}", value=pilot_bytes, remedy="--pilot-bytes 4"
        )
    return pilot_bytes


def check_fits(model: Model, board: Board) -> None:
    """Refuse a model that cannot fit, before anything is compiled; says by how much.

    Raises:
        BuildError: constants exceed flash, or state and stack exceed RAM.
    """
    wanted = (
        ("flash", model.constant_bytes, board.flash_bytes),
        ("RAM", model.state_bytes + STACK_BYTES, board.ram_bytes),
    )
    for memory, needed, available in wanted:
        if available is not None and needed > available:
            raise BuildError(
                f"the model does not fit into the {memory} of {board.name}:"
                f" {needed - available:,} bytes too many",
                value=f"{needed:,} bytes needed, {available:,} there",
                remedy="use a smaller model, or a board with more memory (semflash boards)",
            )


def check_stack(sizes: ImageSizes, board: Board) -> None:
    """Refuse an image whose static RAM (model, link buffers) leaves too little for the stack.

    Raises:
        BuildError: says how much is missing.
    """
    assert board.ram_bytes is not None
    missing = sizes.ram_static + STACK_BYTES - board.ram_bytes
    if missing > 0:
        raise BuildError(
            f"the firmware does not fit into the RAM of {board.name}: {missing:,} bytes too many",
            value=f"{sizes.ram_static:,} static, {STACK_BYTES:,} for the stack, {board.ram_bytes:,} there",
            remedy="use a smaller model, or a board with more memory (semflash boards)",
        )


def check_convolutions(image: Path, model: Model) -> tuple[str, ...]:
    """The CMSIS-NN functions of the plan, all of which must be in the image.

    Raises:
        BuildError: the plan asked for one that is not linked.
    """
    if not model.symbols:
        return ()
    present = elf.symbols(image)
    missing = [symbol for symbol in model.symbols if symbol not in present]
    if missing:
        raise BuildError(
            "the linked image lacks CMSIS-NN functions that its plan asks for",
            value=", ".join(missing),
            remedy="check --cmsis-nn-dir (engine aot) or the TFLM tree (engine tflm)",
        )
    return model.symbols


def _is_built(folder: Path, build_id: str) -> bool:
    """Whether the folder holds a finished build of the same sources and settings."""
    if not (folder / FILE_NAME).is_file():
        return False
    try:
        return BuildResult.load(folder).build_id == build_id
    except BuildError:
        return False  # damaged or without its image: built again


def _compile_native(files: sources.Files, settings: dict[str, str], folder: Path, *, reuse: bool) -> Path:
    """The shared library for this computer; the compiler runs only where something changed."""
    from semflash.firmware.emulator.native_compiler import compile_native

    image = folder / "libsemflash_device.so"
    if reuse and image.is_file():
        return image
    includes = ("model", "device/include", "device/kernels/include", "cmsis/core", "cmsis/nn/Include")
    return compile_native(
        [folder / name for name in files if name.endswith(".c")],
        [folder / name for name in includes if (folder / name).is_dir()],
        image,
        defines=settings,
    )


def _compile_firmware(board: Board, folder: Path, timeout_s: float) -> tuple[Path, ImageSizes]:
    """The ELF image, by PlatformIO."""
    assert board.platformio_env is not None and board.flash is not None
    log = folder / "build.log"
    platformio.run(folder, board.platformio_env, log=log, timeout_s=timeout_s)
    output = folder / ".pio" / "build" / board.platformio_env
    image = next((path for path in (output / "program.elf", output / "firmware.elf") if path.is_file()), None)
    if image is None:
        raise BuildError("PlatformIO made no image", value=output, remedy=f"read {log}")
    return image, elf.sizes(image, board.flash.origin, board.flash.size_bytes)


def _result(folder: Path, bundle: Bundle, board: Board, model: Model, image: Image) -> BuildResult:
    """Everything worth knowing about the build."""
    return BuildResult(
        directory=str(folder),
        board=board.name,
        kind=board.kind,
        bundle_name=bundle.name,
        bundle_path=str(bundle.path),
        bundle_hash=bundle.hash_hex,
        build_id=image.build_id,
        engine=model.engine,
        kernels=model.kernels,
        image=image.path.relative_to(folder).as_posix(),
        sizes=image.sizes,
        macs=model.macs,
        state_bytes=model.state_bytes,
        arena_bytes=model.arena_bytes,
        constant_bytes=model.constant_bytes,
        cmsis_nn=model.cmsis_origin,
        convolution_symbols=image.convolutions,
        layers=model.layers,
        memory=image.memory,
    )
