"""The integer reference tail against float64, against plain Python integers, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest

from semflash.conversion.gdn import float_codes, quantise_tail
from semflash.errors import BundleError, ExportError
from semflash.program.checks import check_tail, prove_int64
from semflash.program.reference.tails import codes
from semflash.program.stages import GdnTail, TableTail


def random_parameters(rng: np.random.Generator) -> dict[str, np.ndarray]:
    channels, levels = int(rng.integers(1, 13)), int(rng.integers(2, 17))
    return {
        "beta": rng.uniform(1e-3, 2.0, channels),
        "gamma": rng.uniform(0, 0.5, (channels, channels)) + 0.05 * np.eye(channels),
        "alpha": rng.uniform(0.05, 1.5, channels),
        "centres": np.sort(rng.uniform(-1.5, 2.0, levels)) + np.arange(levels) * 1e-3,
    }


@pytest.mark.parametrize("seed", range(40))
def test_codes_differ_from_float64_only_within_a_hair_of_a_midpoint(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parameters = random_parameters(rng)
    scale, zero_point = float(10 ** rng.uniform(-2.5, -0.7)), int(rng.integers(-128, 128))
    tail = quantise_tail(**parameters, scale=scale, zero_point=zero_point)
    channels = len(parameters["beta"])
    latent = rng.integers(-128, 128, (20, 4, 4, channels), np.int8)
    found = codes(latent, tail)
    expected, y = float_codes((latent.astype(float) - zero_point) * scale, **parameters)
    middle = (parameters["centres"][1:] + parameters["centres"][:-1]) / 2
    alpha = parameters["alpha"][:, None]
    # Relative error of y from rounding beta and gamma (half a Q16 step each, against den), and error of
    # the threshold u from Q24; mapped through PReLU like y itself.
    q2 = (latent.astype(float) - zero_point) ** 2
    den = parameters["beta"] / scale**2 + q2 @ parameters["gamma"]
    relative = (1 + q2.sum(-1, keepdims=True)) * 2.0**-17 / den + 1e-12
    # |d(u^2)| <= 2^-25, so |du| <= 2^-25 / (2 |u|), or 2^-12.5 at u = 0
    u = np.where(middle >= 0, middle, middle / alpha)
    hair_u = np.minimum(2.0**-25 / np.maximum(2 * np.abs(u), 1e-30), 2.0**-12.5)
    slope = np.where(u < 0, alpha, 1.0)
    hair = np.abs(y)[..., None] * relative[..., None] + slope * hair_u + 1e-12
    near = (np.abs(y[..., None] - middle) <= hair).sum(-1)
    assert (np.abs(found.astype(int) - expected) <= near).all()
    assert (found != expected).mean() < 0.01


def test_codes_equal_plain_python_integers() -> None:
    rng = np.random.default_rng(5)
    tail = quantise_tail(**random_parameters(rng), scale=0.03, zero_point=-7)
    latent = rng.integers(-128, 128, (30, tail.channels), np.int8)
    steps = tail.levels - 1
    expected = []
    for vector in latent.tolist():
        q = [value - tail.zero_point for value in vector]
        row = []
        for c in range(tail.channels):
            den = tail.beta[c] + sum(
                tail.gamma[i * tail.channels + c] * q[i] ** 2 for i in range(tail.channels)
            )
            left = (1 if q[c] > 0 else -1) * q[c] ** 2 * 2**40
            row.append(sum(left > t * den for t in tail.threshold[c * steps : (c + 1) * steps]))
        expected.append(row)
    assert codes(latent, tail).tolist() == expected


def test_on_a_midpoint_the_lower_code_wins() -> None:
    tail = GdnTail(1, 3, 0, beta=[1 << 16], gamma=[0], threshold=[0, 1 << 24])
    found = codes(np.array([[-1], [0], [1], [2]], np.int8), tail)
    assert found.ravel().tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
def test_extreme_latents_stay_inside_int64(zero_point: int) -> None:
    worst = GdnTail(2, 2, zero_point, [1 << 20] * 2, [32_768] * 4, threshold=[-(1 << 30), 1 << 30])
    check_tail(worst)
    latent = np.array([[-128, 127], [127, -128], [127, 127], [-128, -128]], np.int8)
    assert set(codes(latent, worst).ravel().tolist()) <= {0, 1}


def test_the_overflow_proof_is_tight() -> None:
    """den and threshold whose product is exactly 2^63 - 1 pass; one more is refused."""
    prime_factors = ((1 << 63) - 1) // 7  # 2^63 - 1 is divisible by 7
    prove_int64(GdnTail(1, 2, 0, [prime_factors], [0], [7]))
    with pytest.raises(BundleError, match="int64"):
        prove_int64(GdnTail(1, 2, 0, [prime_factors + 1], [0], [7]))


def test_thresholds_out_of_reach_are_lowered_without_changing_a_code() -> None:
    """A small alpha pulls a negative midpoint far below any value GDN can give."""
    parameters = {
        "beta": np.array([0.5]),
        "gamma": np.array([[0.4]]),
        "alpha": np.array([0.01]),
        "centres": np.array([-1.0, -0.2, 0.3, 0.9]),
    }
    tail = quantise_tail(**parameters, scale=0.05, zero_point=3)
    latent = np.arange(-128, 128, dtype=np.int64).astype(np.int8)[:, None]
    expected, _ = float_codes((latent.astype(float) - 3) * 0.05, **parameters)
    np.testing.assert_array_equal(codes(latent, tail), expected)
    assert abs(tail.threshold[0]) < 2**27


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"beta": np.array([0.0])}, "beta > 0"),
        ({"alpha": np.array([0.0])}, "alpha > 0"),
        ({"gamma": np.array([[-0.1]])}, "gamma >= 0"),
        ({"gamma": np.array([[40_000.0]])}, "32,768"),
        ({"beta": np.array([np.nan])}, "NaN"),
        ({"centres": np.array([1.0, 0.0])}, "ascending"),
        ({"centres": np.arange(17.0)}, "2 to 16"),
        ({"gamma": np.ones((2, 2))}, r"gamma \(C, C\)"),
        ({"centres": np.array([0.0, 40.0]), "gamma": np.array([[0.0]]), "beta": np.array([1e-4])}, "32 bits"),
    ],
)
def test_parameters_out_of_range_are_refused(change: dict[str, np.ndarray], match: str) -> None:
    good = {
        "beta": np.array([1.0]),
        "gamma": np.array([[0.1]]),
        "alpha": np.array([0.25]),
        "centres": np.array([-1.0, 1.0]),
    }
    quantise_tail(**good, scale=0.02, zero_point=0)
    with pytest.raises(ExportError, match=match):
        quantise_tail(**{**good, **change}, scale=0.02, zero_point=0)


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [(0.0, 0), (-1.0, 0), (float("nan"), 0), (float("inf"), 0), (0.02, 200)],
)
def test_a_latent_without_a_usable_scale_is_refused(scale: float, zero_point: int) -> None:
    with pytest.raises(ExportError, match="scale above 0"):
        quantise_tail(
            beta=np.array([1.0]),
            gamma=np.array([[0.1]]),
            alpha=np.array([0.25]),
            centres=np.array([-1.0, 1.0]),
            scale=scale,
            zero_point=zero_point,
        )


def test_a_table_tail_looks_every_channel_up() -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(0, 5, (3, 256))
    tail = TableTail(3, 5, 0, [int(v) for v in table.ravel()])
    check_tail(tail)
    latent = rng.integers(-128, 128, (7, 3), np.int8)
    expected = [[int(table[c][int(row[c]) + 128]) for c in range(3)] for row in latent]
    assert codes(latent, tail).tolist() == expected


def test_a_table_with_a_code_beyond_the_centres_is_refused() -> None:
    with pytest.raises(BundleError, match="no centre"):
        check_tail(TableTail(1, 4, 0, [4] * 256))
    with pytest.raises(BundleError, match="256"):
        check_tail(TableTail(1, 4, 0, [0] * 255))


def test_latents_of_the_wrong_type_or_shape_are_refused() -> None:
    tail = TableTail(2, 4, 0, [0] * 512)
    for latent in (np.zeros((1, 3), np.int8), np.zeros((1, 2), np.uint8), np.zeros((), np.int8)):
        with pytest.raises(BundleError, match="int8"):
            codes(latent, tail)  # type: ignore[arg-type]
