"""Edge graphs that are told a control of the device: the contract's rule, and the zoo stays as it was."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from semflash.bundle import read_bundle
from semflash.bundle.checks import check_contract
from semflash.bundle.digest import bundle_hash
from semflash.bundle.reader import zoo_names
from semflash.bundle.schema import Contract, ControlInput, EdgeGraph
from semflash.errors import BundleError, ProgramError
from semflash.program.controls import Control
from semflash.program.used_controls import used_controls

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
STATE = Control("state", 1, 0, 7, 4, "entry")
#: Hashes before there were inputs of controls and controls that follow the channel; firmware carries them.
HASHES = {
    "fashion-mnist-24": "1190bff8634e2497",
    "fashion-mnist-48": "68549154cd9ffdb9",
    "fashion-mnist-96": "c84126eff383912e",
    "fashion-mnist-limitnet": "e7b22f6bf149c5db",
    "mnist-12": "66bb3d3adba22683",
    "stamps-48": "d7ac5abd3488c7ad",
    "stamps-detect": "7aa02130dda4bf51",
}


def steered(contract: Contract, control: str = "state") -> Contract:
    """The contract with a control whose value the decoder reads as well."""
    first, *others = contract.edge
    told = msgspec.structs.replace(first, inputs=(*first.inputs, ControlInput("used", control)))
    program = msgspec.structs.replace(contract.program, controls=(STATE,))
    return msgspec.structs.replace(contract, program=program, edge=(told, *others))


def test_an_edge_graph_may_read_a_control_of_the_program_and_nothing_else() -> None:
    contract = read_bundle(TINY).contract
    check_contract(steered(contract))
    with pytest.raises(BundleError, match=r"decoder reads what is no control.*rate"):
        check_contract(steered(contract, "rate"))


def test_the_input_has_a_form_of_its_own_on_disk() -> None:
    text = msgspec.json.encode(ControlInput("used", "state"))
    assert text == b'{"kind":"control","name":"used","control":"state"}'
    graph = msgspec.json.encode(steered(read_bundle(TINY).contract).edge[0])
    again = msgspec.json.decode(graph, type=EdgeGraph)
    assert again.inputs[-1] == ControlInput("used", "state")


def test_hashes_of_the_zoo_are_those_that_firmware_carries() -> None:
    assert set(HASHES) <= set(zoo_names())
    for name, expected in HASHES.items():
        bundle = read_bundle(name)
        assert (bundle.hash_hex[:16], bundle_hash(bundle.written)[:16]) == (expected, expected), name


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [4, 4, 4]),
        ({}, [4, 4, 4]),
        ({"state": 0}, [0, 0, 0]),
        ({"state": np.array([0, 7, 3])}, [0, 7, 3]),
        ({"state": [8, 65_535, -1]}, [7, 7, 0]),
    ],
)
def test_values_are_brought_into_the_range_as_a_device_does(given, expected) -> None:
    found = used_controls([STATE], given, 3)
    assert list(found) == ["state"] and found["state"].dtype == np.float32
    np.testing.assert_array_equal(found["state"], np.array(expected, np.float32)[:, None])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rate": 1}, "no such control.*rate.*state"),
        ({"state": 1.5}, "whole numbers"),
        ({"state": True}, "whole numbers"),
        ({"state": float("nan")}, "whole numbers"),
        ({"state": [1, 2]}, "one for each payload.*2 for 3"),
    ],
)
def test_what_no_device_can_have_used_is_refused(given, says: str) -> None:
    with pytest.raises(ProgramError, match=f"(?s){says}"):
        used_controls([STATE], given, 3)
