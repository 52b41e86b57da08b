"""The limits of a bundle, from both sides: the last value that is taken and the first that is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from semflash.bundle import read_bundle, reader, resolve_bundle, write_bundle
from semflash.bundle.checks import check_contract
from semflash.bundle.digest import file_ref
from semflash.bundle.reader import parse_codec, today
from semflash.bundle.schema import QualityInput
from semflash.errors import BundleError
from semflash.outputs.anchor_boxes import decode_anchors
from semflash.outputs.detections import decode_maps
from semflash.outputs.kinds import AnchorTask, DetectionTask

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
CODEC_BYTES = (TINY / "codec.json").read_bytes()
BUNDLE = read_bundle(TINY)
REFERENCE = {"file": "h.json", "sha256": "0" * 64, "size_bytes": 1}
POINT = {"ber": 0.0, "accuracy": 1.0, "low": 0.0, "high": 1.0}
MEASUREMENT = {"dataset": "d", "split": "s", "images": 1, "seed": 0, "points": []}
PROOF = {"images": 1, "codes_differing": 0, "codes_differing_from_float": 0.0, "validation_images": 0} | {
    "float_accuracy": None,
    "int8_accuracy": None,
}


def codec_with(*changes: tuple[str, Any]) -> bytes:
    """codec.json of the tiny bundle with other values at dotted places, and matching digests."""
    codec = json.loads(CODEC_BYTES)
    for place, value in changes:
        *parents, last = place.split(".")
        target: Any = codec
        for key in parents:
            target = target[int(key)] if key.isdigit() else target[key]
        target[int(last) if last.isdigit() else last] = value
    for part in ("contract", "record"):
        text = json.dumps(codec[part], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        codec["digest"][part] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(codec).encode()


def nested(depth: int) -> dict[str, Any]:
    """A recipe that is nested so deep."""
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return {"a": value}


GRAPH = "contract.device_graphs.0"
#: place, last value that is taken, first that is refused, what the refusal says
BOUNDS: list[tuple[str, Any, Any, str]] = [
    ("contract.name", "a" * 64, "a" * 65, "schema"),
    ("contract.family", "b" * 64, "", "schema"),
    ("contract.family_version", 1000, 1001, "schema"),
    ("contract.family_version", 1, 0, "schema"),
    ("contract.input.height", 4096, 4097, "schema"),
    ("contract.input.height", 1, 0, "schema"),
    ("contract.input.channels", 16, 17, "schema"),
    ("contract.input.zero_point", -128, -127, "zero point -128"),
    (f"{GRAPH}.scale", 1e6, 1.0000001e6, "schema"),
    (f"{GRAPH}.scale", 1e-30, 0.0, "schema"),
    (f"{GRAPH}.model.size_bytes", 64 << 20, (64 << 20) + 1, "larger than 64 MiB"),
    ("contract.decoder.size_bytes", 1 << 30, (1 << 30) + 1, "schema"),
    ("contract.decoder.size_bytes", 1, 0, "schema"),
    ("contract.decoder.file", "a" * 64, "a" * 65, "schema"),
    ("contract.channel.ber_max", 0.5, 0.5000001, "schema"),
    ("contract.channel.ber_min", 0.0, -1e-9, "schema"),
    ("contract.class_names", ["a", "b"], ["a"], "schema"),
    ("contract.class_names", [str(n) for n in range(65_536)], [str(n) for n in range(65_537)], "schema"),
    ("contract.class_names.0", "x" * 200, "x" * 201, "schema"),
    ("record.seed", 1 << 53, (1 << 53) + 1, "schema"),
    ("record.seed", 0, -1, "schema"),
    ("record.macs", 1 << 53, (1 << 53) + 1, "schema"),
    ("record.task_accuracy", 1.0, 1.0000001, "schema"),
    ("record.operators", ["CONV_2D"] * 4096, ["CONV_2D"] * 4097, "schema"),
    ("record.measurements", [MEASUREMENT] * 64, [MEASUREMENT] * 65, "schema"),
    (
        "record.measurements",
        [MEASUREMENT | {"points": [POINT] * 256}],
        [MEASUREMENT | {"points": [POINT] * 257}],
        "schema",
    ),
    ("record.proof", PROOF | {"references": ["r"] * 8}, PROOF | {"references": ["r"] * 9}, "schema"),
    (
        "record.history",
        REFERENCE | {"size_bytes": 64 << 20},
        REFERENCE | {"size_bytes": (64 << 20) + 1},
        "history larger",
    ),
    ("record.recipe", nested(7), nested(8), "nested deeper"),
]


@pytest.mark.parametrize(
    ("place", "taken", "refused", "says"), BOUNDS, ids=[f"{b[0]}-{n}" for n, b in enumerate(BOUNDS)]
)
def test_a_limit_is_where_it_is(place: str, taken: Any, refused: Any, says: str) -> None:
    parse_codec(codec_with((place, taken)))
    with pytest.raises(BundleError, match=says):
        parse_codec(codec_with((place, refused)))


def test_schema_versions_are_newer_up_to_two_to_the_31_and_damage_beyond() -> None:
    for version, says in ((1 << 31, "newer schema"), ((1 << 31) + 1, "damaged"), (0, "damaged")):
        with pytest.raises(BundleError, match=says):
            parse_codec(codec_with(("schema_version", version)))


def test_a_row_of_an_image_has_at_most_65535_values() -> None:
    parse_codec(codec_with(("contract.input.width", 4095), ("contract.input.channels", 16)))
    with pytest.raises(BundleError, match="an image row"):
        parse_codec(codec_with(("contract.input.width", 4096), ("contract.input.channels", 16)))


def test_a_range_of_rates_may_be_one_rate_and_not_upside_down() -> None:
    parse_codec(codec_with(("contract.channel.ber_min", 0.1), ("contract.channel.ber_max", 0.1)))
    with pytest.raises(BundleError, match="ber_min is above"):
        parse_codec(codec_with(("contract.channel.ber_min", 0.11), ("contract.channel.ber_max", 0.1)))


def test_latents_have_at_most_65535_positions() -> None:
    graph = msgspec.structs.replace(BUNDLE.written.device_graphs[0], height=256, width=256)
    for height, says in ((256, "latent positions"), (255, "payload.symbols")):
        tall = msgspec.structs.replace(graph, height=height)
        with pytest.raises(BundleError, match=says):
            today(msgspec.structs.replace(BUNDLE.written, device_graphs=[tall]))


def with_task(task: Any, classes: int = 4) -> Any:
    names = [str(n) for n in range(classes)]
    return msgspec.structs.replace(BUNDLE.contract, task=task, class_names=tuple(names))


def test_a_detectors_grid_covers_its_image_with_a_window_that_has_a_middle() -> None:
    check_contract(with_task(DetectionTask(4, 4, 7, 3, 0.1, 10)))
    check_contract(with_task(DetectionTask(4, 4, 7, 1, 0.1, 10)))
    for task, says in (
        (DetectionTask(3, 4, 7, 3, 0.1, 10), "does not cover"),
        (DetectionTask(4, 4, 7, 4, 0.1, 10), "needs a middle"),
    ):
        with pytest.raises(BundleError, match=says):
            check_contract(with_task(task))


def test_a_detector_of_anchors_gives_at_most_two_to_the_24_numbers_of_its_own_image() -> None:
    check_contract(with_task(AnchorTask(28, 28, 1 << 20, 0.1, 0.5, 100, 10), classes=12))
    for task, classes, says in (
        (AnchorTask(28, 28, 1 << 20, 0.1, 0.5, 100, 10), 13, "too many numbers"),
        (AnchorTask(28, 27, 10, 0.1, 0.5, 100, 10), 4, "another image"),
        (AnchorTask(27, 28, 10, 0.1, 0.5, 100, 10), 4, "another image"),
    ):
        with pytest.raises(BundleError, match=says):
            check_contract(with_task(task, classes))


@pytest.mark.parametrize(
    ("task", "field", "last", "beyond"),
    [
        (DetectionTask(4, 4, 7, 3, 0.1, 10), "stride", 256, 257),
        (DetectionTask(4, 4, 7, 3, 0.1, 10), "peak_window", 15, 16),
        (DetectionTask(4, 4, 7, 3, 0.1, 10), "objects_max", 1000, 1001),
        (AnchorTask(28, 28, 9, 0.1, 0.5, 100, 10), "anchors", 1 << 20, (1 << 20) + 1),
        (AnchorTask(28, 28, 9, 0.1, 0.5, 100, 10), "candidates_max", 10_000, 10_001),
        (AnchorTask(28, 28, 9, 0.1, 0.5, 100, 10), "objects_max", 1000, 1001),
        (AnchorTask(28, 28, 9, 0.1, 0.5, 100, 10), "overlap_max", 1.0, 1.1),
    ],
)
def test_numbers_of_a_task_have_limits(task: Any, field: str, last: Any, beyond: Any) -> None:
    plain = msgspec.to_builtins(task)
    assert getattr(msgspec.convert(plain | {field: last}, type(task)), field) == last
    for value in (beyond, -1 if field == "overlap_max" else 0):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(plain | {field: value}, type(task))


def test_the_output_of_a_tail_has_a_place_for_each_class() -> None:
    assert BUNDLE.output.shape == (10,)
    assert with_task(DetectionTask(4, 5, 7, 3, 0.1, 10)).output.shape == (4, 5, 8)
    assert with_task(AnchorTask(28, 28, 9, 0.1, 0.5, 100, 10)).output.shape == (9, 8)


# Files.


def test_a_history_is_written_read_and_guarded(tmp_path: Path) -> None:
    data = b'{"loss": [1.0]}'
    record = msgspec.structs.replace(BUNDLE.record, history=file_ref("history.json", data))
    files = {name: BUNDLE.files[name] for name in ("encoder.tflite", "decoder.tflite", "tail.tflite")}
    with pytest.raises(BundleError, match="differ"):
        write_bundle(tmp_path / "a.semcodec", BUNDLE.written, record, files)
    written = write_bundle(tmp_path / "a.semcodec", BUNDLE.written, record, files | {"history.json": data})
    assert written.path == tmp_path / "a.semcodec" and written.files["history.json"] == data
    assert (written.path.stat().st_mode & 0o777) == 0o755
    (written.path / "history.json").write_bytes(b'{"loss": [2.0]}')
    with pytest.raises(BundleError, match="changed after export"):
        read_bundle(written.path)
    (written.path / "history.json").unlink()
    with pytest.raises(BundleError, match=r"cannot read history\.json"):
        read_bundle(written.path)


def test_a_place_that_cannot_be_written_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BundleError, match="cannot write the bundle"):
        write_bundle(tmp_path / "file" / "a.semcodec", BUNDLE.written, BUNDLE.record, BUNDLE.files)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_comes_before_a_bundle_of_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_bundle("fashion-mnist-48").name == "fashion-mnist-48.semcodec"
    shutil.copytree(TINY, tmp_path / "fashion-mnist-48")
    assert resolve_bundle("fashion-mnist-48") == Path("fashion-mnist-48")
    assert read_bundle("fashion-mnist-48").name == "tiny"


def test_a_hash_of_32_zero_bits_is_refused_and_one_of_31_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "bundle_hash", lambda _: "00000001" + "0" * 56)
    assert parse_codec(CODEC_BYTES).written == BUNDLE.written
    monkeypatch.setattr(reader, "bundle_hash", lambda _: "0" * 8 + "f" * 56)
    with pytest.raises(BundleError, match="32 zero bits"):
        parse_codec(CODEC_BYTES)


@pytest.mark.parametrize(("length", "says"), [(300, None), (301, r" \.\.\.")])
def test_an_error_quotes_at_most_300_characters(length: int, says: str | None) -> None:
    assert reader._one_line("x" * length).endswith(" ...") == (says is not None)
    assert reader._one_line("x" * length).rstrip(" .") == "x" * 300


# Objects out of outputs, by hand.


def test_boxes_of_anchors_are_thresholded_cut_suppressed_and_sorted() -> None:
    task = AnchorTask(100, 200, 6, 0.5, 0.5, 5, 3)
    outputs = np.zeros((1, 6, 6), np.float32)
    outputs[0, :, :4] = [
        (0.50, 0.5, 0.2, 0.2),  # 80..120 x 40..60, class 0
        (0.53, 0.5, 0.2, 0.2),  # 86..126: IoU 34/46 with the first
        (0.57, 0.5, 0.2, 0.2),  # 94..134: IoU 26/54 with the first
        (0.00, 0.0, 0.2, 0.2),  # cut to 0..20 x 0..10
        (0.50, 0.5, 0.0, 0.2),  # no width
        (0.50, 0.5, np.nan, 0.2),
    ]
    outputs[0, :, 4:] = [(0.9, 0.1), (0.8, 0.7), (0.6, 0.1), (0.1, 1.5), (0.9, 0.1), (0.9, 0.9)]
    [found] = decode_anchors(outputs, task)
    right = [(0, 0, 20, 10, 1, 1.0), (80, 40, 120, 60, 0, 0.9), (86, 40, 126, 60, 1, 0.7)]
    np.testing.assert_allclose(found, right, atol=1e-4)
    more = msgspec.structs.replace(task, objects_max=4, candidates_max=10)
    np.testing.assert_allclose(decode_anchors(outputs, more)[0][3], (94, 40, 134, 60, 0, 0.6), atol=1e-4)


@pytest.mark.parametrize(("overlap", "kept"), [(0.2, 1), (0.34, 2)])
def test_a_box_is_suppressed_by_one_that_it_overlaps_by_more_than_the_limit(
    overlap: float, kept: int
) -> None:
    outputs = np.zeros((1, 2, 5), np.float32)
    outputs[0] = [(0.3, 0.5, 0.2, 0.5, 0.9), (0.4, 0.5, 0.2, 0.5, 0.8)]  # half of each shared: IoU 1/3
    assert len(decode_anchors(outputs, AnchorTask(64, 64, 2, 0.5, overlap, 9, 9))[0]) == kept


def maps(height: int, width: int, *peaks: tuple[int, int, int, float]) -> np.ndarray:
    out = np.full((1, height, width, 2 + 4), -9.0, np.float32)
    out[..., 2:] = (np.log(2.0), 0.0, 0.25, 0.5)
    for row, column, label, logit in peaks:
        out[0, row, column, label] = logit
    return out


def test_peaks_of_maps_are_objects_with_their_sides_and_places() -> None:
    task = DetectionTask(4, 6, 10, 3, 0.3, 2)
    [found] = decode_maps(
        maps(4, 6, (1, 2, 0, 2.0), (1, 3, 0, 1.0), (3, 5, 1, 0.0), (0, 0, 1, -0.5)), task, 2
    )
    half = 1 / (1 + np.exp(-2.0))
    # the centre of (1, 2) lies at x = 2.25, y = 1.5 cells, 2 cells wide and 1 high; the neighbour is no peak
    np.testing.assert_allclose(found, [(12.5, 10, 32.5, 20, 0, half), (42.5, 30, 60, 40, 1, 0.5)], atol=1e-4)
    [more] = decode_maps(maps(4, 6, (1, 2, 0, 2.0), (1, 4, 0, 1.0)), task, 2)
    assert len(more) == 2, "two columns apart they are two"
    [wide] = decode_maps(
        maps(4, 6, (1, 2, 0, 2.0), (1, 4, 0, 1.0)), msgspec.structs.replace(task, peak_window=5), 2
    )
    assert len(wide) == 1


def test_a_side_is_at_most_e_to_the_8_cells() -> None:
    out = maps(4, 6, (1, 2, 0, 2.0))
    out[..., 2:4] = 1e30
    np.testing.assert_allclose(
        decode_maps(out, DetectionTask(4, 6, 10, 3, 0.3, 2), 2)[0][0][:4], (0, 0, 60, 40)
    )


def test_every_change_of_a_file_is_seen(tmp_path: Path) -> None:
    check: Callable[[Path], object] = read_bundle
    for name in ("encoder.tflite", "decoder.tflite", "tail.tflite"):
        copy = Path(shutil.copytree(TINY, tmp_path / name.replace(".tflite", ".semcodec")))
        data = bytearray((copy / name).read_bytes())
        data[-1] ^= 1
        (copy / name).write_bytes(data)
        with pytest.raises(BundleError, match="SHA-256"):
            check(copy)


def test_an_edge_that_reads_nothing_of_the_payload_is_refused() -> None:
    first, *others = BUNDLE.contract.edge
    deaf = msgspec.structs.replace(first, inputs=(QualityInput("ber"),))
    check_contract(BUNDLE.contract)
    with pytest.raises(BundleError, match="no edge graph reads what arrives"):
        check_contract(msgspec.structs.replace(BUNDLE.contract, edge=(deaf, *others)))
