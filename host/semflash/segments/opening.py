"""Segmenters by their names on the command line."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

from semflash.errors import UsageError
from semflash.printable import printable
from semflash.segments.base import Plan
from semflash.segments.classical import EXACT, FELZENSZWALB, Exact, Felzenszwalb
from semflash.segments.manifest import NAME_CHARS, SegmenterRecord

HED, SAM, SALIENCY = "hed", "sam", "saliency"
NAMES = (HED, SAM, SALIENCY, FELZENSZWALB, EXACT)
#: What is asked where nothing else is told.
DEFAULT = HED


@dataclass(frozen=True)
class SegmenterOptions:
    """What the command line says of a network.

    Attributes:
        files: its ONNX files: of ``saliency`` one, of ``sam`` encoder and decoder.
        side: images are enlarged to this before a network sees them, pixels; 0: the segmenter's own.
        threads: of ONNX Runtime.
    """

    files: tuple[Path, ...] = ()
    side: int = 0
    threads: int = 1


#: ONNX files that a segmenter needs.
_FILES = {SALIENCY: 1, SAM: 2}
_REMEDIES = {
    SALIENCY: "--network FILE.onnx, such as ISNet or U2-Net",
    SAM: "--encoder FILE.onnx --decoder FILE.onnx, of SAM, MobileSAM or EfficientSAM",
}


def plan_of(name: str, options: SegmenterOptions | None = None) -> Plan:
    """A segmenter that is ready to be started.

    Raises:
        UsageError: there is no such segmenter, or its files are not given.
        ToolMissingError: a package that it needs is not installed.
        SegmentError: its files are no good.
    """
    options = options or SegmenterOptions()
    if name not in NAMES:
        raise UsageError("no such segmenter", value=name, remedy=f"--with one of {', '.join(NAMES)}")
    if len(options.files) != _FILES.get(name, 0):
        raise UsageError(
            f"{name} takes {_FILES.get(name, 0)} ONNX files",
            value=", ".join(map(str, options.files)) or "none",
            remedy=_REMEDIES.get(name, f"--with {name} alone"),
        )
    if name == EXACT:
        return Plan(Exact.record, lambda: contextlib.nullcontext(Exact()))
    if name == FELZENSZWALB:
        from semflash.segments.packages import check_packages

        check_packages(("skimage",))
        return Plan(Felzenszwalb.record, lambda: contextlib.nullcontext(Felzenszwalb()))
    return _hed(options) if name == HED else _of_files(name, options)


def _hed(options: SegmenterOptions) -> Plan:
    from semflash.segments import hed
    from semflash.segments.packages import check_packages, file_sha256, hed_weights

    check_packages(("skimage", "onnx", "onnxruntime", "h5py", "PIL"))
    path = hed_weights()
    side = options.side or hed.SIDE
    record = SegmenterRecord(
        HED,
        hed.VERSION,
        classical=False,
        sha256=file_sha256(path),
        weights_bytes=path.stat().st_size,
        settings=hed.settings(side),
    )

    def start() -> hed.Hed:
        from semflash.segments.hed_graph import hed_graph, read_weights

        network = hed_graph(read_weights(path)).SerializeToString()
        return hed.Hed(record, network, side, options.threads)

    return Plan(record, start)


def _of_files(name: str, options: SegmenterOptions) -> Plan:
    """``saliency`` or ``sam``: networks in files of the user's."""
    from semflash.segments import saliency, sam
    from semflash.segments.packages import check_packages, file_sha256

    check_packages(("onnxruntime", "PIL"))
    digests = [file_sha256(path) for path in options.files]
    module = sam if name == SAM else saliency
    record = SegmenterRecord(
        f"{name}:{printable(options.files[0].name)}"[:NAME_CHARS],
        module.VERSION,
        classical=False,
        sha256=digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest(),
        weights_bytes=sum(path.stat().st_size for path in options.files),
        settings=module.settings(options.side),
    )

    def start() -> sam.Sam | saliency.Saliency:
        if name == SAM:
            encoder, decoder = options.files
            return sam.Sam(record, encoder, decoder, options.side, options.threads)
        return saliency.Saliency(record, options.files[0], options.side, options.threads)

    return Plan(record, start)
