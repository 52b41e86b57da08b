"""Teachers that are one network: ``lite0``, ``onnx:FILE``, ``keras:FILE``, checked before anything is run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semflash.errors import TeacherError
from semflash.printable import printable
from semflash.teachers import head
from semflash.teachers.base import ATTENTION, FEATURES, LOGITS
from semflash.teachers.manifest import NAME_CHARS, TeacherRecord
from semflash.teachers.packages import FOR_HEADS, FOR_ONNX, check_packages, file_sha256, lite0_weights
from semflash.teachers.preparing import SIDE_MAX, ImageInput

if TYPE_CHECKING:
    from semflash.teachers.keras_teacher import KerasTeacher
    from semflash.teachers.onnx_teacher import OnnxTeacher

LITE0_SIDE = 128
#: Images at a time: what stays in a core's cache is quickest.
_BATCH = 16
#: Weights beside an ONNX file: a ViT-L has 1.2 GB.
_EXTERNAL_MAX = 16 << 30
#: What a network takes beside its weights, as a share of them: buffers and what is prepared of them.
_ROOM = 1.5
#: Of ONNX: TensorProto.FLOAT.
_FLOAT = 1


@dataclass(frozen=True)
class Options:
    """What the user says of a teacher.

    Attributes:
        size: height and width of its images, pixels; None: the file's (Lite0: 128).
        mean, std: its own, for images of 0..``top``.
        top: value of white in its images, 1 or 255.
        head: fit a head on what it gives, whatever that is.
        output: tensor of an ONNX file that is asked; empty: its only output. Of an attention queries and
            keys may be named, with a comma.
        threads: of the process that runs it.
        registers: its answer is an attention, without so many registers; None: it is no attention.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    top: float = 1.0
    head: bool = False
    output: str = ""
    threads: int = 1
    registers: int | None = None

    @property
    def kind(self) -> str:
        """What a network in a file gives."""
        if self.registers is not None:
            return ATTENTION
        return FEATURES if self.head else LOGITS


def open_lite0(options: Options) -> OnnxTeacher:
    """EfficientNet-Lite0: features, for a head that is fitted.

    Raises:
        ToolMissingError: its extra is not installed.
        TeacherError: the weights are not what they should be.
    """
    check_packages((*FOR_ONNX, *FOR_HEADS))
    path = lite0_weights()
    from semflash.teachers import lite0
    from semflash.teachers.onnx_teacher import Network, OnnxTeacher
    from semflash.teachers.pth import read_pth

    height, width = options.size or (LITE0_SIDE, LITE0_SIDE)
    graph = lite0.lite0_graph(read_pth(path)).SerializeToString()
    how = ImageInput(height, width, 3, top=255.0)
    network = Network(graph, lite0.IMAGE, lite0.FEATURES, True, _BATCH, how)
    settings = _settings(how, FEATURES)
    record = TeacherRecord("lite0", file_sha256([path]), path.stat().st_size, FEATURES, settings)
    return OnnxTeacher(record, network, options.threads)


def open_onnx(path: Path, options: Options) -> OnnxTeacher:
    """A network in an ONNX file.

    Raises:
        ToolMissingError: its extra is not installed.
        TrainingError: it is no such file, or not of the ONNX standard's operators alone.
        TeacherError: it does not take one image, has several outputs, or is larger than memory.
    """
    check_packages((*FOR_ONNX, *FOR_HEADS) if options.head else FOR_ONNX)
    from semflash.runtime.onnx_file import external_files, load_onnx
    from semflash.teachers.onnx_teacher import Network, OnnxTeacher

    model = load_onnx(path, external_max=_EXTERNAL_MAX, weights=False)
    files = [path, *external_files(model, path.parent)]
    size_bytes = sum(one.stat().st_size for one in files)
    check_memory(size_bytes)
    known = {value.name for value in (*model.graph.initializer, *model.graph.sparse_initializer)}
    inputs = [value for value in model.graph.input if value.name not in known]
    first, batch, how = _image_input(inputs, options)
    output, keys = _outputs(model, options)
    settings = _settings(how, options.kind) | {"output": options.output or output} | _registers(options)
    record = TeacherRecord(_named("onnx", path), file_sha256(files), size_bytes, options.kind, settings)
    network = Network(path, inputs[0].name, output, first, batch, how, keys, options.registers)
    return OnnxTeacher(record, network, options.threads)


def open_keras(path: Path, options: Options) -> KerasTeacher:
    """A classifier in a ``.keras`` or ``.h5`` file, read in Keras's safe mode.

    Raises:
        TrainingError: it is no such file, or holds code.
        TeacherError: it does not take one image, or is larger than memory.
    """
    check_packages(("PIL", *FOR_HEADS) if options.head else ("PIL",))
    from semflash.tasks.keras.files import read_model
    from semflash.teachers.keras_teacher import KerasTeacher

    model = read_model(path)
    size_bytes = path.stat().st_size
    check_memory(size_bytes)
    shapes = [tuple(one.shape[1:]) for one in model.inputs]
    how = _how(shapes[0] if shapes else (), shapes, options)
    settings = _settings(how, options.kind) | _registers(options)
    record = TeacherRecord(_named("keras", path), file_sha256([path]), size_bytes, options.kind, settings)
    return KerasTeacher(record, model, how, options.registers)


def _named(kind: str, path: Path) -> str:
    """What a record calls a teacher in a file."""
    return f"{kind}:{printable(path.name)}"[:NAME_CHARS]


def check_memory(size_bytes: int) -> None:
    """TeacherError: weights of this size do not fit this machine's memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size_bytes * _ROOM > memory:
        raise TeacherError(
            "the teacher is larger than this machine's memory",
            value=f"{size_bytes / 1e9:.1f} GB of weights, {memory / 1e9:.1f} GB of memory",
            remedy="a smaller teacher, or make the store on a larger machine and copy its folder",
        )


def _settings(how: ImageInput, kind: str) -> dict[str, Any]:
    """What decides an answer beside the weights."""
    return how.plain() | ({"head": [head.VERSION, *head.DECAYS]} if kind == FEATURES else {})


def _registers(options: Options) -> dict[str, Any]:
    return {} if options.registers is None else {"registers": options.registers}


def _image_input(inputs: list[Any], options: Options) -> tuple[bool, int, ImageInput]:
    """Whether channels stand first, images at a time, and how an image is given."""
    shapes = [tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise _no_image(shapes)
    if inputs[0].type.tensor_type.elem_type != _FLOAT:
        raise TeacherError(
            "the network takes no float32 images", value=inputs[0].name, remedy="export it with float32 input"
        )
    shape = shapes[0]
    first = shape[1] in (1, 3)
    if shape[0] > 1:
        raise TeacherError(
            "the network takes several images at a time",
            value=shape[0],
            remedy="export it for 1, or any number",
        )
    sides = (*shape[2:], shape[1]) if first else shape[1:]
    return first, 1 if shape[0] == 1 else _BATCH, _how(sides, shapes, options)


def _how(shape: tuple[Any, ...], shapes: list[tuple[Any, ...]], options: Options) -> ImageInput:
    """How images are given to a network that takes one of `shape` (H, W, C), 0 or None: any."""
    if len(shapes) != 1 or len(shape) != 3 or shape[2] not in (1, 3):
        raise _no_image(shapes)
    own = [int(side or 0) for side in shape[:2]]
    size = options.size or (own[0], own[1])
    for side, wanted in zip(own, size, strict=True):
        if not 1 <= wanted <= SIDE_MAX or side not in (0, wanted):
            raise TeacherError(
                "the network takes images of another size, or leaves it open",
                value=f"{own[0]}x{own[1]} in the file (0: open), {size[0]}x{size[1]} asked",
                remedy=f"--size HxW, each 1 to {SIDE_MAX}",
            )
    return ImageInput(*size, int(shape[2]), options.mean, options.std, options.top)


def _no_image(shapes: list[tuple[Any, ...]]) -> TeacherError:
    return TeacherError(
        "a teacher takes one image with 1 or 3 channels",
        value=", ".join(map(str, shapes)) or "no input",
        remedy="export the network with one image input (n, C, H, W) or (n, H, W, C)",
    )


def _outputs(model: Any, options: Options) -> tuple[str, str]:
    """The tensor that is asked, and the keys of an attention beside its queries; empty: none."""
    names = options.output.split(",")
    if options.registers is None or len(names) == 1:
        return _output(model, options.output), ""
    if len(names) != 2 or names[0] == names[1]:
        raise TeacherError(
            "an attention is one output, or two of queries and keys",
            value=options.output,
            remedy="--output QUERIES,KEYS",
        )
    return _output(model, names[0]), _output(model, names[1])


def _output(model: Any, name: str) -> str:
    """The tensor that is asked."""
    outputs = [value.name for value in model.graph.output]
    if name in outputs:
        return name
    if not name and len(outputs) == 1:
        return str(outputs[0])
    raise TeacherError(
        "which output of the network?" if not name else "the network has no such output",
        value=name or ", ".join(outputs[:8]),
        remedy=f"--output with one of {', '.join(outputs[:8])}",
    )
