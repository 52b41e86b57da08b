"""Reading and writing bundles: what is written reads back, and every kind of damage is a BundleError."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semflash import atomic
from semflash.bundle import Bundle, read_bundle, resolve_bundle, update_record, write_bundle
from semflash.bundle.models import bind
from semflash.bundle.reader import parse_codec
from semflash.bundle.schema import Measurement, Point
from semflash.errors import BundleError
from semflash.outputs.metrics import ACCURACY, Score

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
CODEC_BYTES = (TINY / "codec.json").read_bytes()
CODEC = parse_codec(CODEC_BYTES)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "tiny.semcodec"))


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def sign(codec: dict[str, Any]) -> bytes:
    """codec.json with digests made the way docs/bundle.md says, independent of semflash's own code."""
    for part in ("contract", "record"):
        text = json.dumps(codec[part], sort_keys=True, separators=(",", ":"))
        codec["digest"][part] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(codec).encode()


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The tiny bundle's codec.json after ``change``, with matching digests."""
    codec = json.loads(CODEC_BYTES)
    change(codec)
    return sign(codec)


def test_the_documented_digest_is_the_bundle_hash() -> None:
    text = json.dumps(json.loads(CODEC_BYTES)["contract"], sort_keys=True, separators=(",", ":"))
    bundle = read_bundle(TINY)
    assert bundle.hash_hex == hashlib.sha256(text.encode()).hexdigest()
    assert bundle.hash32 == int(bundle.hash_hex[:8], 16)


def test_a_bundle_written_again_is_the_same(tmp_path: Path) -> None:
    first = read_bundle(TINY)
    second = write_bundle(tmp_path / "again.semcodec", first.written, first.record, first.files)
    assert (second.written, second.record, second.files) == (first.written, first.record, first.files)
    assert (second.path / "codec.json").read_bytes() == CODEC_BYTES
    assert second.image_shape == (28, 28, 1) and second.program.tensor("latent").shape == (4, 4, 4)
    assert second.payload_bytes == 24
    assert names(tmp_path) == ["again.semcodec"]


def test_a_bundle_is_not_overwritten_unless_asked(copy: Path) -> None:
    bundle = read_bundle(copy)
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(copy, bundle.written, bundle.record, bundle.files)
    renamed = msgspec.structs.replace(bundle.written, name="other")
    write_bundle(copy, renamed, bundle.record, bundle.files, overwrite=True)
    assert read_bundle(copy).name == "other"
    assert names(copy.parent) == [copy.name]


def test_a_directory_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    bundle = read_bundle(TINY)
    place = tmp_path / "photos.semcodec"
    place.mkdir()
    (place / "cat.png").write_bytes(b"x")
    with pytest.raises(BundleError, match="not a bundle"):
        write_bundle(place, bundle.written, bundle.record, bundle.files, overwrite=True)
    assert (place / "cat.png").exists()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    bundle = read_bundle(TINY)
    files = {**bundle.files, "encoder.tflite": b"changed"}
    with pytest.raises(BundleError):
        write_bundle(tmp_path / "bad.semcodec", bundle.written, bundle.record, files)
    assert list(tmp_path.iterdir()) == []


def test_files_that_the_contract_does_not_name_are_refused(tmp_path: Path) -> None:
    bundle = read_bundle(TINY)
    with pytest.raises(BundleError, match="differ"):
        files = {**bundle.files, "extra.bin": b"x"}
        write_bundle(tmp_path / "bad.semcodec", bundle.written, bundle.record, files)


@pytest.mark.parametrize("exchanges", [True, False])
def test_an_interrupted_replacement_brings_the_old_bundle_back(
    copy: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    bundle = read_bundle(copy)
    renamed = msgspec.structs.replace(bundle.written, name="other")
    rename = Path.rename

    def exchange(first: Path, second: Path) -> bool:
        if exchanges:
            raise OSError(28, "No space left on device")
        return False

    def fail_for_the_new_one(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(atomic, "_exchange", exchange)
    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(BundleError, match="No space left"):
        write_bundle(copy, renamed, bundle.record, bundle.files, overwrite=True)
    assert read_bundle(copy) == bundle
    assert names(copy.parent) == [copy.name]


def test_a_name_that_leaves_the_directory_is_refused_before_writing(tmp_path: Path) -> None:
    bundle = read_bundle(TINY)
    escaping = msgspec.structs.replace(bundle.written.decoder, file="../escaped.tflite")
    contract = msgspec.structs.replace(bundle.written, decoder=escaping)
    files = {("../escaped.tflite" if n == "decoder.tflite" else n): d for n, d in bundle.files.items()}
    with pytest.raises(BundleError, match="schema"):
        write_bundle(tmp_path / "inner" / "x.semcodec", contract, bundle.record, files)
    assert list(tmp_path.iterdir()) == []


def test_a_new_record_keeps_the_bundle_hash(copy: Path) -> None:
    bundle = read_bundle(copy)
    point = Point(0.0, (Score(0.75, 0.7, 0.8),))
    measurement = Measurement("fashion-mnist", "test", 100, 0, "ber", (ACCURACY,), [point])
    after = update_record(bundle, msgspec.structs.replace(bundle.record, measurements=[measurement]))
    assert after.hash_hex == bundle.hash_hex
    assert read_bundle(copy).record.measurements == [measurement]
    assert names(copy) == names(TINY)


def test_a_name_that_the_file_system_refuses_is_a_bundle_error() -> None:
    with pytest.raises(BundleError, match="too long"):
        read_bundle("a" * 300)


@pytest.mark.parametrize("text", ["\x1b[31m" * 20_000, "k" * 100_000], ids=["escapes", "long"])
def test_what_an_error_quotes_from_the_file_is_short_and_printable(text: str) -> None:
    for change in (_set(f"contract.{text.replace('.', '')}", 1), _set("format", text)):
        with pytest.raises(BundleError) as caught:
            parse_codec(changed(change))
        assert len(str(caught.value)) < 600 and "\x1b" not in str(caught.value)


def test_an_unknown_name_lists_the_zoo(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle") as caught:
        resolve_bundle(tmp_path / "nowhere")
    assert ".semcodec" in caught.value.remedy


@pytest.mark.parametrize("name", ["codec.json", "encoder.tflite", "decoder.tflite", "tail.tflite"])
def test_a_missing_truncated_linked_or_changed_file_is_refused(copy: Path, name: str) -> None:
    path = copy / name
    whole = path.read_bytes()

    def expect(match: str) -> None:
        with pytest.raises(BundleError, match=match):
            read_bundle(copy)

    path.unlink()
    expect("cannot read")
    path.symlink_to(TINY / name)
    expect("symbolic link")
    path.unlink()
    os.mkfifo(path)
    expect("not a plain file")
    path.unlink()
    path.write_bytes(whole[: len(whole) // 2])
    expect("damaged|truncated")
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    expect("changed|damaged|schema|not a semflash|newer")
    path.write_bytes(whole + bytes(6 << 20))
    expect("larger")
    path.write_bytes(b"")
    expect("damaged|truncated")


def test_a_file_that_is_no_tflite_is_refused(copy: Path) -> None:
    data = b"PNG!" * 20
    (copy / "encoder.tflite").write_bytes(data)

    def swap(codec: dict[str, Any]) -> None:
        digest = hashlib.sha256(data).hexdigest()
        codec["contract"]["device_graphs"][0]["model"].update(sha256=digest, size_bytes=len(data))

    (copy / "codec.json").write_bytes(changed(swap))
    with pytest.raises(BundleError, match=r"not a \.tflite"):
        read_bundle(copy)


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(codec: dict[str, Any]) -> None:
        target: Any = codec
        *parents, last = path.split(".")
        for key in parents:
            target = target[int(key)] if key.isdigit() else target[key]
        target[int(last) if last.isdigit() else last] = value

    return change


TAIL = json.loads(CODEC_BYTES)["contract"]["device_tail"]
BAD_CODECS = {
    "a future version": (_set("schema_version", 4), "newer schema"),
    "another format": (_set("format", "zip"), "not a semflash codec"),
    "an unknown field": (_set("contract.colour", "red"), "unknown field"),
    "an unknown tail": (_set("contract.device_tail.kind", "transformer"), "transformer"),
    "a path out of the bundle": (_set("contract.decoder.file", "../decoder.tflite"), "schema"),
    "an absolute path": (_set("contract.decoder.file", "/etc/passwd"), "schema"),
    "two files of one name": (_set("contract.decoder.file", "tail.tflite"), "share a name"),
    "codec.json as a model": (_set("contract.decoder.file", "codec.json"), "share a name"),
    "a payload that does not follow": (_set("contract.payload.payload_bytes", 23), "payload_bytes"),
    "symbols that do not follow": (_set("contract.payload.symbols", 63), "symbols"),
    "bits that do not fit the levels": (_set("contract.payload.bits_per_symbol", 4), "payload_bytes"),
    "a missing centre": (_set("contract.centres", [0.0, 1.0]), "centres"),
    "centres out of order": (_set("contract.centres.0", 9.0), "ascending"),
    "an input scale": (_set("contract.input.scale", 0.0039), "1/255"),
    "a zero point of the tail": (_set("contract.device_tail.zero_point", 5), "zero point"),
    "channels of the tail": (_set("contract.device_tail.channels", 3), "lengths"),
    "short beta": (_set("contract.device_tail.beta", TAIL["beta"][:-1]), "lengths"),
    "beta of zero": (_set("contract.device_tail.beta.0", 0), "schema"),
    "a beta that overflows": (_set("contract.device_tail.beta.0", 1 << 61), "int64"),
    "a threshold of 33 bits": (_set("contract.device_tail.threshold.0", -(1 << 32)), "schema"),
    "descending thresholds": (_set("contract.device_tail.threshold.0", (1 << 31) - 1), "descend"),
    "negative gamma": (_set("contract.device_tail.gamma.0", -1), "schema"),
    "two device graphs": (
        lambda c: c["contract"]["device_graphs"].append(c["contract"]["device_graphs"][0]),
        "one device graph",
    ),
    "no device graph": (_set("contract.device_graphs", []), "schema"),
    "a giant image": (_set("contract.input.height", 1 << 20), "schema"),
    "a boolean for a number": (_set("contract.input.height", True), "schema"),
    "class names that repeat": (_set("contract.class_names.0", "trouser"), "repeat"),
    "many class names of which one repeats": (
        _set("contract.class_names", [str(i) for i in range(60_000)] + ["7"]),
        "repeat.*'7'",
    ),
    "a class name with an escape sequence": (_set("contract.class_names.0", "\x1b[2Jshirt"), "schema"),
    "a name that ends in a newline": (_set("contract.name", "tiny\n"), "schema"),
    "a file name that ends in a newline": (_set("contract.decoder.file", "decoder.tflite\n"), "schema"),
    "two files of one name but for case": (_set("contract.decoder.file", "Tail.tflite"), "share a name"),
    "codec.json in capitals as a model": (_set("contract.decoder.file", "CODEC.JSON"), "share a name"),
    "codec.json as history": (
        _set("record.history", {"file": "codec.json", "sha256": "0" * 64, "size_bytes": 1}),
        "share a name",
    ),
    "a BER above one half": (_set("contract.channel.ber_max", 0.7), "schema"),
    "a deep recipe": (_set("record.recipe.a", [[[[[[[[[1]]]]]]]]]), "deeper"),
    "a negative seed": (_set("record.seed", -1), "schema"),
}


@pytest.mark.parametrize("case", BAD_CODECS)
def test_an_inconsistent_codec_with_matching_digests_is_refused(case: str) -> None:
    change, match = BAD_CODECS[case]
    with pytest.raises(BundleError, match=match):
        parse_codec(changed(change))


def test_the_future_version_says_update() -> None:
    with pytest.raises(BundleError) as caught:
        parse_codec(changed(_set("schema_version", 7)))
    assert "update semflash" in caught.value.remedy and caught.value.value == 7


@pytest.mark.parametrize(
    ("old", "new"), [(b'"name": "tiny"', b'"name": "tino"'), (b'"seed": 7', b'"seed": 8')]
)
def test_an_edited_codec_is_refused_by_its_digest(old: bytes, new: bytes) -> None:
    assert CODEC_BYTES.count(old) == 1
    with pytest.raises(BundleError, match="changed after it was written"):
        parse_codec(CODEC_BYTES.replace(old, new))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b'{"format":NaN}', b'"x"'],
    ids=["empty", "object", "array", "null", "utf-16", "deep", "deep object", "nan", "string"],
)
def test_bytes_that_are_no_codec_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        parse_codec(data)


def test_deep_nesting_inside_the_recipe_is_refused() -> None:
    deep = CODEC_BYTES.replace(b'"images": 20000', b'"images": ' + b"[" * 50_000 + b"]" * 50_000)
    with pytest.raises(BundleError):
        parse_codec(deep)


def test_an_infinite_centre_is_refused() -> None:
    first = str(json.loads(CODEC_BYTES)["contract"]["centres"][0]).encode()
    for value in (b"-1e999", b"-Infinity", b"NaN"):
        with pytest.raises(BundleError):
            parse_codec(CODEC_BYTES.replace(first, value, 1))


_POSITION = st.integers(0, len(CODEC_BYTES) - 1)
_EDIT = st.one_of(
    st.tuples(st.just("flip"), _POSITION, st.integers(1, 255)),
    st.tuples(st.just("insert"), _POSITION, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("delete"), _POSITION, st.integers(1, 40)),
    st.tuples(st.just("copy"), _POSITION, st.integers(1, 200)),
    st.tuples(st.just("digit"), _POSITION, st.sampled_from(b"0123456789-.eE")),
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(_EDIT, min_size=1, max_size=4))
def test_a_mutated_codec_loads_equal_or_is_refused(edits: list[tuple[str, int, Any]]) -> None:
    data = bytearray(CODEC_BYTES)
    for kind, position, argument in edits:
        position = min(position, len(data) - 1)
        if kind == "flip":
            data[position] ^= argument
        elif kind == "insert":
            data[position:position] = argument
        elif kind == "delete":
            del data[position : position + min(argument, len(data) - 1)]
        elif kind == "copy":
            data[position:position] = data[position : position + argument]
        else:
            data[position] = argument
        if not data:
            break
    try:
        codec = parse_codec(bytes(data))
    except BundleError as error:
        assert error.remedy and error.what
    else:
        assert codec == CODEC


def test_reading_imports_no_model_runtime() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from semflash.bundle import read_bundle; read_bundle(sys.argv[1]); "
        "print([m for m in ('tensorflow', 'keras', 'ai_edge_litert', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(TINY)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_bundle_type_is_public() -> None:
    assert isinstance(read_bundle(str(TINY)), Bundle)


def test_the_inputs_of_a_graph_are_found_by_their_names_in_any_order() -> None:
    names = ["serving_default_codes:0", "rate", "serving_default_mask:0"]
    assert bind(names, ["rate", "mask", "codes"], "edge.tflite") == [1, 2, 0]
    assert bind(["serving_default_anything:0"], ["codes"], "edge.tflite") == [0]


@pytest.mark.parametrize(
    ("names", "words", "value"),
    [
        (["codes", "rate", "snr"], "needs an input mask", "codes, rate, snr"),
        (["codes", "rate", "serving_default_rate:0"], "needs an input rate", "codes, rate, rate"),
        (["codes", "rate"], "needs inputs codes, rate, mask", 2),
    ],
)
def test_a_graph_with_other_inputs_than_the_contract_s_is_refused(
    names: list[str], words: str, value: object
) -> None:
    with pytest.raises(BundleError, match=f"edge.tflite {words}") as error:
        bind(names, ["codes", "rate", "mask"], "edge.tflite")
    assert error.value.value == value
