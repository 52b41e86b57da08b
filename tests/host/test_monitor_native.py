"""The monitor on board native: the device's own C behind the link, in this process."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semflash.bundle import Bundle, read_bundle
from semflash.cli.main import main
from semflash.data.dataset import Dataset
from semflash.data.registry import DEBIAN_FASHION_MNIST, load_dataset
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.building.firmware import build
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator.native import NativePort
from semflash.link.port import READ_TIMEOUT_S
from semflash.link.session import Expected, Received, Session
from semflash.program.reference.run import Run

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
    pytest.mark.skipif(not DEBIAN_FASHION_MNIST.is_dir(), reason="Fashion-MNIST is not installed"),
]
TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(TINY)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build(TINY, load_board("native"), out_dir=tmp_path_factory.mktemp("native") / "tiny")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset("fashion-mnist")


def summary(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    code = main(arguments)
    return code, json.loads(capsys.readouterr().out)


def monitor_arguments(built: BuildResult, *more: str) -> list[str]:
    return ["monitor", str(TINY), "--board", "native", "--out", built.directory, "--json", *more]


def test_the_verb_checks_every_code_and_agrees_with_evaluate(
    built: BuildResult, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = summary(monitor_arguments(built, "--count", "400", "--check-golden"), capsys)
    assert code == 0
    assert found["golden"] == {"checked": 400, "different": 0, "first_different": []}
    assert main(["evaluate", str(TINY), "--limit", "400", "--ber", "0", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert found["accuracy"] == measured["points"][0]["accuracy"]


def test_codes_that_differ_end_with_the_verdict_output_mismatch(
    built: BuildResult, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = GoldenEncoder.run

    def wrong(self: GoldenEncoder, images: np.ndarray, controls: dict[str, int]) -> Run:
        found = right(self, images, controls)
        return replace(found, sent=replace(found.sent, payloads=found.sent.payloads ^ 1))

    monkeypatch.setattr(GoldenEncoder, "run", wrong)
    assert main(monitor_arguments(built, "--count", "20", "--check-golden")) == 1
    said = capsys.readouterr()
    found, failed = map(json.loads, said.out.splitlines())  # the summary, then what is wrong with it
    assert found["golden"]["different"] == 20
    error = failed["error"]
    assert (error["kind"], error["value"]) == ("output-mismatch", "20 of 20 payloads") and error["remedy"]


@pytest.mark.parametrize("ber", [0.01, 0.05])
def test_with_injected_errors_the_accuracy_agrees_with_the_simulated_channel(
    built: BuildResult, ber: float, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = summary(monitor_arguments(built, "--count", "1500", "--ber", str(ber)), capsys)
    assert code == 0
    assert found["flipped_share"] == pytest.approx(ber, rel=0.05)
    assert main(["evaluate", str(TINY), "--limit", "1500", "--ber", str(ber), "--seed", "77", "--json"]) == 0
    point = json.loads(capsys.readouterr().out)["points"][0]
    # Same images, other flips: the two differ by less than the interval of one of them.
    low, high = point["accuracy_95"]
    assert low <= found["accuracy"] <= high  # type: ignore[operator]


def test_the_real_device_takes_up_after_damage_on_the_way_to_it(
    built: BuildResult, bundle: Bundle, data: Dataset
) -> None:
    images = data.test.images[:60]
    golden = GoldenEncoder(bundle).payloads(images)
    with NativePort(built.image_path, timeout=READ_TIMEOUT_S) as port:
        plain_write, writes = port.write, 0

        def write(sent: bytes) -> int:
            nonlocal writes
            writes += 1
            if writes % 17 == 0:
                return len(sent)  # lost
            if writes % 13 == 0:
                sent = (
                    sent[: len(sent) // 2] + bytes([sent[len(sent) // 2] ^ 0x10]) + sent[len(sent) // 2 + 1 :]
                )
            return plain_write(sent)

        port.write = write  # type: ignore[method-assign,assignment]
        session = Session(port, Expected.of(bundle), timeout_s=0.3, max_attempts=6)
        received = {
            outcome.index: outcome.payload
            for outcome in session.stream(enumerate(to_int8(images, bundle.image_shape)))
            if isinstance(outcome, Received)
        }
    assert received == {index: bytes(payload) for index, payload in enumerate(golden)}
    assert session.counters.images_resent > 0


def test_jsonl_prints_every_record_and_json_with_it_is_refused(
    built: BuildResult, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*monitor_arguments(built, "--count", "30")[:-3], "--jsonl", "--count", "30"]
    assert main(arguments) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [line["kind"] for line in lines]
    assert (kinds[0], kinds[-1], kinds.count("image")) == ("session", "end", 30)
    assert lines[-1]["received"] == 30
    assert main([*arguments, "--json"]) == 2
    assert "not allowed with" in json.loads(capsys.readouterr().out)["error"]["what"]


def test_a_full_disk_costs_the_recording_and_neither_the_run_nor_its_summary(
    built: BuildResult, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = monitor_arguments(built, "--count", "100", "--check-golden", "--record", "/dev/full")
    assert main(arguments) == 1
    said = capsys.readouterr()
    found, failed = map(json.loads, said.out.splitlines())
    assert (found["received"], found["golden"]["checked"], found["ended_by"]) == (100, 100, None)
    assert "No space left on device" in found["unrecorded"][0]
    error = failed["error"]
    assert (error["kind"], error["value"], error["exit_code"]) == ("storage", "/dev/full", 1)
    faulty = monitor_arguments(built, "--count", "20", "--fault", "up.duplicate=1")
    assert main([*faulty, "--fault-log", "/dev/full"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"]["kind"] == "storage"
