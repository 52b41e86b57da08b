"""The zoo's LimitNet: cut anywhere on device and edge, and as accurate as its card says."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from semflash.bundle import Bundle, read_bundle
from semflash.cli.main import main
from semflash.data.registry import DEBIAN_FASHION_MNIST, load_dataset
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator.native import NativeDevice

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
    pytest.mark.skipif(not DEBIAN_FASHION_MNIST.is_dir(), reason="Fashion-MNIST is not installed"),
]
NAME = "fashion-mnist-limitnet"
CUTS = Path(__file__).resolve().parents[2] / "docs" / "zoo_cuts.json"
IMAGES = 1_000
#: Four times the standard deviation of a share of 0.85 of a thousand images.
NEAR = 0.045


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(NAME)


@pytest.fixture(scope="module")
def built(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(bundle.path, load_board("native"), out_dir=tmp_path_factory.mktemp("native") / "build")


@pytest.fixture(scope="module")
def recorded(bundle: Bundle) -> dict[tuple[int, float], float]:
    """Accuracy by bytes kept and BER, as the card shows it."""
    found = json.loads(CUTS.read_text(encoding="utf-8"))[NAME]
    assert (found["hash"], found["split"], found["images"]) == (bundle.hash_hex, "test", 10_000)
    return {(point["bytes"], point["ber"]): point["accuracy"] for point in found["points"]}


def test_the_bundle_is_of_a_few_hundred_kilobytes_and_says_how_it_came_about(bundle: Bundle) -> None:
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) < 800_000
    assert bundle.contract.family == "limitnet" and bundle.payload_bytes == 48
    assert bundle.record.recipe["recipe"]["name"] == NAME and bundle.record.seed == 0
    assert bundle.record.proof is not None and bundle.record.proof.codes_differing == 0


def test_every_cut_is_the_same_on_the_device_and_a_prefix_of_the_whole(
    bundle: Bundle, built: BuildResult
) -> None:
    (control,) = bundle.program.controls
    pictures = load_dataset("fashion-mnist").test.images[:40]
    device, golden = NativeDevice(built.image_path), GoldenEncoder(bundle)
    whole = golden.run(pictures).sent
    for size in range(control.low, control.high + 1):
        expected = golden.run(pictures, {control.name: size}).sent
        sent = device.send(to_int8(pictures, bundle.image_shape), {control.id: size})
        np.testing.assert_array_equal(sent.bits, expected.bits)
        assert [bytes(each) for each in sent] == [bytes(each) for each in expected]
        kept = int(expected.bits[0]) // 8
        np.testing.assert_array_equal(expected.payloads[:, :kept], whole.payloads[:, :kept])


def test_each_cut_is_as_accurate_as_its_card_says(
    bundle: Bundle, recorded: dict[tuple[int, float], float]
) -> None:
    (control,) = bundle.program.controls
    data = load_dataset("fashion-mnist").test
    images, labels = data.images[:IMAGES], data.labels[:IMAGES]
    encoder, decoder = GoldenEncoder(bundle), EdgeDecoder(bundle)
    sizes = sorted({size for size, _ in recorded})
    assert len(sizes) == 4 and sizes[-1] == control.high
    for size in sizes:
        sent = encoder.run(images, {control.name: size}).sent
        found = (decoder.logits(sent.payloads, 0.0, bits=sent.bits).argmax(1) == labels).mean()
        assert found == pytest.approx(recorded[size, 0.0], abs=NEAR), size


def test_more_bytes_are_never_much_worse(recorded: dict[tuple[int, float], float]) -> None:
    sizes = sorted({size for size, _ in recorded})
    clean = [recorded[size, 0.0] for size in sizes]
    assert all(after > before - 0.01 for before, after in pairwise(clean))
    assert clean[0] > 0.5  # a quarter of the payload says far more than a guess


def test_evaluate_agrees_with_the_record(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", NAME, "--ber", "0,0.01", "--limit", str(IMAGES), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (measured,) = (each for each in bundle.record.measurements if each.split == "test")
    expected = {point.level: point.score.value for point in measured.points}
    for point in found["points"]:
        assert point["accuracy"] == pytest.approx(expected[point["ber"]], abs=NEAR)


def test_the_monitor_receives_its_golden_codes(
    built: BuildResult, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--board", "native", "--out", str(built.directory), "--count", "300", "--check-golden", "--json"]
    assert main(["monitor", NAME, *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["golden"] == {"checked": 300, "different": 0, "first_different": []}


def test_rates_by_image_are_kept_and_give_what_evaluate_gives(
    built: BuildResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = tmp_path / "rates.csv"
    rates.write_text("image,bytes\n" + "".join(f"{n},{6 + n % 43}\n" for n in range(50)))
    common = ["--count", "200", "--rate-trace", str(rates), "--json"]
    assert main(["monitor", NAME, "--board", "native", "--out", str(built.directory), *common]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rate"]["exceeded"] == 0 and found["rate_trace"] == str(rates)
    assert (found["rate"]["told_least"], found["rate"]["told_most"]) == (6, 48)
    assert found["payload_bytes_most"] == 48 and 6 < found["payload_bytes_mean"] < 48
    flags = ["--limit", "200", "--rate-trace", str(rates), "--ber", "0", "--json"]
    assert main(["evaluate", NAME, *flags]) == 0
    (point,) = json.loads(capsys.readouterr().out)["points"]
    assert point["accuracy"] == found["accuracy"]
    assert point["payload_bytes_mean"] == pytest.approx(found["payload_bytes_mean"])


def test_a_rate_that_was_exceeded_ends_in_an_error(
    built: BuildResult, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No device of ours does that, so the host is made to believe that it told less."""
    monkeypatch.setattr("semflash.monitor.rate.Rate.told", lambda self, index: 20)
    flags = ["--board", "native", "--out", str(built.directory), "--count", "10", "--rate", "24", "--json"]
    assert main(["monitor", NAME, *flags]) == 1
    summary, error = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert summary["rate"]["exceeded"] == 10
    assert (error["error"]["kind"], error["error"]["value"]) == ("rate-exceeded", "10 of 10 payloads")
