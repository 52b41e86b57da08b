"""Device programs: what they express, what the golden device makes of them, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import programs
from semflash.bundle.digest import bundle_hash
from semflash.bundle.packing import pack
from semflash.bundle.reader import read_bundle, zoo_dir, zoo_names
from semflash.errors import BundleError, ProgramError
from semflash.program.checks import check_program
from semflash.program.controls import Control, settle
from semflash.program.payload import decode
from semflash.program.program import Program
from semflash.program.quality import Ber, Snr
from semflash.program.reference import order, tails
from semflash.program.reference.run import run
from semflash.runtime.reference import ReferenceGraph


def plain_tree(program: Program) -> Any:
    """The program as JSON has it: dicts and lists that can be changed."""
    return msgspec.json.decode(msgspec.json.encode(program))


def images_of(program: Program, count: int = 20, seed: int = 0) -> np.ndarray:
    shape = (count, *program.tensor(program.image).shape)
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


def golden(program: Program, images: np.ndarray, controls: dict[str, int] | None = None):
    shapes = programs.shapes_of(program)
    return run(program, images, lambda name, x: programs.run_graph(name, list(x), shapes), controls)


@pytest.mark.parametrize("make", programs.ALL)
def test_programs_of_every_kind_pass_the_checks_and_survive_json(make):
    program = make()
    check_program(program)
    again = msgspec.json.decode(msgspec.json.encode(program), type=Program)
    assert again == program


def zoo_hash_on_disk(name: str) -> str:
    """The bundle hash as it was written into the bundle when it was made."""
    codec = json.loads((zoo_dir() / f"{name}.semcodec" / "codec.json").read_text())
    return str(codec["digest"]["contract"])


#: Of families with a control that follows the channel.
FOLLOWING = ("tosc", "lamsc")


@pytest.mark.parametrize("name", [name for name in zoo_names() if not any(one in name for one in FOLLOWING)])
def test_new_kinds_of_stages_and_fields_leave_the_hashes_of_the_zoo_as_they_were(name):
    bundle = read_bundle(name)
    assert bundle_hash(bundle.written) == bundle.hash_hex == zoo_hash_on_disk(name)
    assert all("follows" not in control for control in plain_tree(bundle.program)["controls"])


def of_version_1() -> list[str]:
    """Bundles of the zoo that were written before there were device programs."""
    texts = {name: (zoo_dir() / f"{name}.semcodec" / "codec.json").read_text() for name in zoo_names()}
    return [name for name, text in texts.items() if json.loads(text)["schema_version"] == 1]


@pytest.mark.parametrize("name", of_version_1())
def test_version_1_of_the_zoo_gives_the_same_codes_and_bytes_as_a_program(name):
    bundle = read_bundle(name)
    program = bundle.program
    check_program(program)
    graph = ReferenceGraph(bundle.models["encoder"], name)
    images = images_of(program, 30)
    result = run(program, images, lambda _, inputs: [graph.run(inputs[0])])
    payload = bundle.written.payload
    codes = tails.codes(graph.run(images), bundle.written.device_tail)
    assert (result.tensors["codes"] == codes).all()
    assert (result.sent.payloads == pack(codes, payload.bits_per_symbol)).all()
    assert (program.payload_bytes_max, program.payload_bits_max) == (
        payload.payload_bytes,
        payload.symbols * payload.bits_per_symbol,
    )
    back = decode(program, result.sent.payloads, result.sent.bits)
    assert (back.codes["codes"] == codes).all() and back.consistent.all()


@pytest.mark.parametrize("make", programs.ALL)
def test_what_a_program_sends_is_received(make):
    program = make()
    result = golden(program, images_of(program))
    back = decode(program, result.sent.payloads, result.sent.bits)
    assert back.consistent.all() and not back.corrected.any()
    for region in program.payload.regions:
        same = back.codes[region.source] == result.tensors[region.source]
        assert same[back.present[region.source]].all()


def test_a_table_is_chosen_by_a_control_and_only_live_patches_are_computed_and_sent():
    program = programs.patches()
    images = images_of(program)
    first, second = golden(program, images), golden(program, images, {"state": 1})
    assert (first.tensors["second"] != second.tensors["second"]).any()
    assert (first.controls, second.controls) == ({"state": 0}, {"state": 1})
    counts = first.tensors["count"].reshape(-1)
    assert len(set(counts.tolist())) > 3
    for i, count in enumerate(counts):
        assert (first.tensors["encoded"][i, count:] == 0).all()
        back = decode(program, first.sent.payloads[i : i + 1], first.sent.bits[i : i + 1])
        assert back.present["first"][0].all(axis=1).sum() == count
        assert back.present["second"].sum() == 8 * (first.tensors["map"][i] >= 2).sum()


def test_a_graph_that_runs_row_by_row_sees_each_row_alone():
    program = programs.patches()
    images = images_of(program, 3)
    seen: list[tuple[int, ...]] = []
    shapes = programs.shapes_of(program)

    def run_graph(name: str, inputs: Any) -> Any:
        if name == "encode":
            seen.append(inputs[0].shape)
        return programs.run_graph(name, list(inputs), shapes)

    result = run(program, images, run_graph)
    assert seen == [(18, 2, 4)]
    row = result.tensors["patches"][1, 2][None]
    if result.tensors["count"][1] > 2:
        alone = programs.run_graph("encode", [row], shapes)[0]
        assert (result.tensors["encoded"][1, 2] == alone[0]).all()


@pytest.mark.parametrize("limit", [0, 1, 4, 5, 6, 13, 27, 28])
def test_a_progressive_payload_is_cut_to_any_number_of_bytes(limit):
    program = programs.progressive()
    images = images_of(program)
    whole, cut = golden(program, images), golden(program, images, {"limit": limit})
    assert all(len(payload) <= limit for payload in cut.sent)
    assert (cut.sent.bits > 8 * limit - 3).all() or limit > 27
    back = decode(program, cut.sent.payloads, cut.sent.bits)
    assert back.consistent.all()
    places = order.order(back.codes["saliency"], 5, 22)
    codes = order.put_back(back.codes["sorted"], places)
    there = order.put_back(back.present["sorted"], places)
    if back.present["saliency"].all():  # otherwise codes are misplaced, as with any damaged map
        assert (codes == whole.tensors["codes"].reshape(20, -1))[there].all()
    assert (codes[~there] == 0).all()
    n = int(back.present["saliency"][0].sum() + there[0].sum())
    assert n == min(8 * limit // 3, 72)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 9), st.integers(0, 80))
def test_the_order_is_by_falling_score_and_then_by_position(seed, places, channels, step):
    saliency = np.random.default_rng(seed).integers(0, 8, (1, places)).astype(np.uint8)
    scores = [16 * int(s) - step * c for s in saliency[0] for c in range(channels)]
    wanted = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
    found = order.order(saliency, channels, step)
    assert found[0].tolist() == wanted
    codes = np.arange(places * channels)[None]
    assert (order.put_back(order.sort(codes, found), found) == codes).all()


def test_the_order_is_the_one_that_limitnet_learned_with():
    pytest.importorskip("keras")
    from semflash.codecs.compared.limitnet import LimitNet, LimitNetSizes

    sizes = LimitNetSizes()
    codec = LimitNet(sizes)
    saliency = np.random.default_rng(3).integers(0, sizes.levels, (50, codec.places)).astype(np.int32)
    step = round(sizes.channel_step * (sizes.levels - 1) * 16)
    found = order.order(saliency.astype(np.uint8), sizes.latent, step)
    assert (np.asarray(codec.order(saliency)) == found).all()


@pytest.mark.parametrize("make", [programs.patches, programs.masked])
def test_sets_of_a_tail_are_of_one_kind(make):
    tree = plain_tree(make())
    tail = next(stage for stage in tree["stages"] if len(stage.get("tables", ())) == 2)
    other = programs.gdn_tail if tail["tables"][0]["kind"] == "table" else programs.table_tail
    first = tail["tables"][0]
    tail["tables"][1] = msgspec.to_builtins(other(first["channels"], first["levels"], first["zero_point"]))
    with pytest.raises(ProgramError, match="different kinds"):
        check_program(msgspec.convert(tree, Program))


def test_controls_are_clamped_and_unknown_ones_refused():
    controls = (Control("limit", 1, 4, 28, 20, "bytes"), Control("state", 2, 0, 7, 3, "entry"))
    assert settle(controls, {}) == {"limit": 20, "state": 3}
    assert settle(controls, {"limit": 2, "state": 9}) == {"limit": 4, "state": 7}
    with pytest.raises(ProgramError, match="no such control") as error:
        settle(controls, {"alpha": 1})
    assert "limit, state" in error.value.remedy


@pytest.mark.parametrize("levels", [(-6.0, -3.0, 0.0, 15.0), (0.1, 0.01, 1e-3, 0.0)])
def test_a_control_may_follow_levels_that_ascend_or_descend(levels):
    tree = plain_tree(programs.progressive())
    tree["controls"].append({"name": "state", "id": 2, "low": 1, "high": 4, "default": 1, "unit": "entry"})
    tree["controls"][1]["follows"] = list(levels)
    program = msgspec.convert(tree, Program)
    check_program(program)
    assert msgspec.json.decode(msgspec.json.encode(program), type=Program).controls[1].follows == levels
    for bad in (math.nan, math.inf):
        broken = msgspec.structs.replace(program.controls[1], follows=(*levels[:3], bad))
        with pytest.raises(ProgramError, match="not finite"):
            check_program(msgspec.structs.replace(program, controls=(program.controls[0], broken)))


def test_a_decoder_is_told_rates_up_to_chance_and_ratios_within_what_was_trained():
    assert [Ber(0.001, 0.06).told(v) for v in (-0.1, 0.0, 0.02, 0.3, 0.7)] == [0.0, 0.0, 0.02, 0.3, 0.5]
    assert [Snr(-6.0, 18.0).told(v) for v in (-20.0, 3.0, 30.0)] == [-6.0, 3.0, 18.0]


def test_graphs_that_give_something_else_are_refused():
    program = programs.plain()
    images = images_of(program, 2)
    with pytest.raises(ProgramError, match="latent must be int8"):
        run(program, images, lambda *_: [np.zeros((2, 4, 3, 4), np.int8)])
    with pytest.raises(ProgramError, match="must have 1 outputs"):
        run(program, images, lambda *_: [])
    with pytest.raises(ProgramError, match="image must be int8"):
        run(program, images.view(np.uint8), lambda *_: [])


def changed(make: Callable[[], Program], *path: Any, to: Any) -> Program:
    """The program with one place of its JSON changed."""
    tree = plain_tree(make())
    place = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return msgspec.convert(tree, Program)


P, A, L, R = programs.plain, programs.two_graphs, programs.progressive, programs.patches
S, J, M = programs.symbols, programs.projected, programs.modulated
PROJECT_CODES = {
    "kind": "project",
    "source": "codes",
    "output": "others",
    "tables": [msgspec.to_builtins(programs.projection(2, 2))],
}
BROKEN = [
    (changed(P, "image", to="picture"), "no such tensor"),
    (changed(P, "tensors", 1, "name", to="image"), "tensors repeat"),
    (changed(P, "tensors", 0, "holds", to={"kind": "codes", "levels": 8}), "must hold int8 values"),
    (changed(P, "tensors", 0, "shape", to=[48, 1]), "height, a width and channels"),
    (changed(P, "tensors", 0, "shape", to=[1, 65535, 3]), "65,535 values"),
    (changed(P, "tensors", 1, "shape", to=[65535, 65535, 5]), "too large"),
    (changed(P, "tensors", 1, "holds", "zero_point", to=4), "zero point"),
    (changed(P, "tensors", 2, "shape", to=[4, 3, 4]), "a code for each value"),
    (changed(P, "tensors", 2, "holds", "levels", to=7), "differ"),
    (changed(P, "tensors", 2, "holds", "centres", to=[0.0, 1.0]), "centres and levels differ"),
    (changed(P, "tensors", 2, "holds", "centres", to=[1.0] * 8), "centres repeat"),
    (changed(P, "tensors", 2, "holds", "neutral", to=8), "neutral code is none"),
    (changed(P, "stages", 0, "inputs", to=["latent"]), "no stage before it writes"),
    (changed(P, "stages", 0, "inputs", to=["missing"]), "no such tensor"),
    (changed(P, "stages", 0, "outputs", to=["image"]), "is there already"),
    (changed(P, "stages", 0, "outputs", to=["codes"]), "no stage before it writes"),
    (changed(P, "stages", 1, "source", to="image"), "a code for each value"),
    (changed(P, "stages", 1, "chosen_by", to="state"), "no such control"),
    (changed(P, "stages", 1, "tables", 0, "gamma", to=[1] * 24), "wrong lengths"),
    (changed(P, "stages", 1, "tables", 0, "beta", to=[1 << 62] * 5), "leave int64"),
    (changed(P, "stages", 1, "tables", 0, "threshold", to=[3, 2, 1] * 11 + [0, 0]), "descend"),
    (changed(P, "payload", "regions", 0, "bits", to=4), "do not fit its 8 levels"),
    (changed(P, "payload", "regions", 0, "source", to="latent"), "do not fit its 256 levels"),
    (changed(P, "quality", "low", to=0.4), "low is above its high"),
    (changed(A, "stages", 1, "tables", 0, "table", to=[0] * 2559), "256 entries"),
    (changed(A, "stages", 1, "tables", 0, "table", to=[6] * 2560), "has no centre"),
    (changed(A, "payload", "regions", to=[{"source": "local", "bits": 3}]), "nothing reads"),
    (changed(A, "payload", "regions", 1, "source", to="local"), "regions repeat"),
    (changed(L, "controls", to=[]), "no such control"),
    (changed(L, "controls", 0, "unit", to="entry"), "in bytes"),
    (changed(L, "controls", 0, "default", to=29), "do not ascend"),
    (changed(L, "controls", 0, "name", to="stream"), "the link's own"),
    (changed(L, "payload", "regions", 0, "protection", to="repeat-3"), "cannot be protected"),
    (changed(L, "payload", "regions", 1, "items", to={"kind": "every"}), "can be below what is not cut"),
    (changed(L, "payload", "regions", 0, "items", to={"kind": "every"}), "what is not cut"),
    (changed(L, "stages", 4, "saliency", to="codes"), "one saliency for each position"),
    (changed(L, "tensors", 5, "shape", to=[12, 5]), "in one dimension"),
    (changed(L, "tensors", 5, "holds", "neutral", to=1), "in one dimension"),
    (changed(R, "controls", 0, "high", to=2), "must choose one of 2"),
    (changed(R, "stages", 3, "chosen_by", to=None), "no control to choose"),
    (changed(R, "stages", 5, "each", to=False), "not run row by row"),
    (changed(R, "tensors", 7, "live", to=None), "differ in their rows"),
    (changed(R, "tensors", 5, "holds", "levels", to=6), "one code of 7 levels"),
    (changed(R, "tensors", 8, "live", to="map"), "one code of 7 levels"),
    (changed(R, "tensors", 8, "live", to="choice"), "must hold codes"),
    (changed(R, "payload", "regions", 2, "items", to={"kind": "every"}), "count them"),
    (changed(R, "payload", "regions", 3, "items", "mask", to="count"), "a code for each row"),
    (changed(R, "payload", "regions", 3, "items", "at_least", to=3), "a code for each row"),
    (changed(R, "payload", "regions", 3, "items", "mask", to="second"), "not sent before it"),
    (changed(R, "controls", 0, "low", to=1), "ascend"),
    (changed(S, "stages", 1, "source", to="image"), "values for each position"),
    (changed(S, "tensors", 2, "holds", to={"kind": "codes", "levels": 8}), "output must hold int8 values"),
    (changed(J, "stages", 6, to=PROJECT_CODES), "what is projected must hold int8 values"),
    (changed(J, "stages", 5, "source", to="codes"), "what is normalised must hold int8 values"),
    (changed(J, "stages", 3, "source", to="codes"), "no stage before it writes"),
    (changed(S, "tensors", 2, "shape", to=[4, 3, 3]), "wrong lengths"),
    (changed(S, "tensors", 2, "shape", to=[24]), "values for each position"),
    (changed(S, "tensors", 1, "shape", to=[4, 3, 257]), "at most 256 channels"),
    (changed(S, "tensors", 2, "shape", to=[4, 3, 257]), "at most 256 channels"),
    (changed(S, "tensors", 1, "live", to="symbols"), "must hold codes"),
    (changed(S, "stages", 1, "tables", 2, "weights", to=[1] * 9), "wrong lengths"),
    (changed(S, "stages", 1, "tables", 0, "bias", to=[1] * 3), "wrong lengths"),
    (changed(S, "stages", 1, "tables", 0, "multiplier", to=[1]), "wrong lengths"),
    (changed(S, "stages", 1, "tables", 1, "shift", to=[]), "wrong lengths"),
    (changed(S, "stages", 1, "tables", 1, "bias", to=[0, -(1 << 31)]), "output 1 of a projection can leave"),
    (changed(S, "stages", 1, "tables", 1, "shift", to=[30, 0]), "output 0 of a projection can leave int32"),
    (changed(S, "stages", 1, "chosen_by", to=None), "no control to choose"),
    (changed(S, "stages", 1, "chosen_by", to="other"), "no such control"),
    (changed(S, "controls", 0, "unit", to="share"), "must choose one of 3"),
    (changed(S, "stages", 2, "gain", to=1), "does not give the nominal power"),
    (changed(S, "tensors", 3, "holds", "scale", to=0.02), "does not give the nominal power"),
    (changed(S, "tensors", 3, "holds", "zero_point", to=1), "zero point 0"),
    (changed(S, "tensors", 3, "shape", to=[24]), "a value for each, in pairs"),
    (changed(S, "tensors", 3, "holds", to={"kind": "codes", "levels": 8}), "normalised values must hold"),
    (changed(S, "payload", "regions", 0, "bits", to=7), "do not fit its 256 levels"),
    (changed(M, "tensors", 2, "holds", to={"kind": "codes", "levels": 8}), "modulated values must hold"),
    (changed(M, "tensors", 2, "shape", to=[4, 5, 3]), "a value for each"),
    (changed(M, "tensors", 2, "live", to="symbols"), "must hold codes"),
    (changed(M, "stages", 1, "tables", 2, "multiplier", to=[1] * 4), "of a modulation have the wrong"),
    (changed(M, "stages", 1, "tables", 0, "offset", to=[1] * 6), "of a modulation have the wrong"),
    (
        changed(M, "stages", 1, "tables", 0, "offset", to=[0] * 4 + [-(1 << 31)]),
        "channel 4 of a modulation can",
    ),
    (changed(M, "stages", 1, "chosen_by", to=None), "no control to choose"),
    (changed(M, "stages", 3, "chosen_by", to="state"), "must choose one of 1"),
    (changed(R, "controls", 0, "follows", to=[0.0]), "a level for each of its values"),
    (changed(R, "controls", 0, "follows", to=[3.0, 3.0]), "neither ascend nor descend"),
    (changed(R, "controls", 0, "follows", to=[]), "a level for each of its values"),
]


@pytest.mark.parametrize(
    ("program", "what"), BROKEN, ids=[f"{number}: {what}" for number, (_, what) in enumerate(BROKEN)]
)
def test_programs_that_break_a_rule_are_refused_with_what_value_and_remedy(program, what):
    with pytest.raises(ProgramError, match=what) as error:
        check_program(program)
    assert error.value.remedy and isinstance(error.value, BundleError)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(programs.ALL), st.data())
def test_any_change_of_a_program_gives_a_program_that_runs_or_an_error_of_its_own(make, data):
    """Programs come from strangers: whatever passes the checks runs without harm."""
    tree = plain_tree(make())
    place: Any = tree
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key]:
            break
        place = place[key]
    names = [t["name"] for t in msgspec.to_builtins(make())["tensors"]]
    place[key] = data.draw(
        st.one_of(
            st.sampled_from(names), st.integers(-2, 9), st.none(), st.floats(), st.just([]), st.booleans()
        )
    )
    try:
        program = msgspec.convert(tree, Program)
        check_program(program)
    except (ProgramError, msgspec.ValidationError):
        return
    result = golden(program, images_of(program, 2))
    found = decode(program, result.sent.payloads, result.sent.bits)
    for name, codes in found.codes.items():
        sent = result.tensors[name]
        assert codes.dtype == sent.dtype and codes.shape == sent.shape
        assert (codes == sent)[found.present[name]].all(), "undamaged codes came out as others"
