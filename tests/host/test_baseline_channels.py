"""Channels and framing of the comparison: rates, bursts, lost frames, retransmissions, seeds."""

from __future__ import annotations

import numpy as np
import pytest

from semflash.baselines.accuracy import FRAMINGS, Framing, send
from semflash.channels.bits import binary_symmetric, channel_rng, flip_bits
from semflash.channels.bursts import gilbert_elliott
from semflash.channels.frames import frame_loss
from semflash.channels.payloads import Channel
from semflash.errors import UsageError

PAYLOADS = [bytes([i % 256] * 50) for i in range(1_000)]
BITS = 1_000 * 50 * 8


def flips(sent: list[bytes], received: list[bytes]) -> np.ndarray:
    pairs = zip(sent, received, strict=True)
    return np.concatenate(
        [np.unpackbits(np.frombuffer(a, np.uint8) ^ np.frombuffer(b, np.uint8)) for a, b in pairs]
    )


@pytest.mark.parametrize("ber", [1e-3, 1e-2, 0.1, 0.5])
def test_the_symmetric_channel_flips_the_asked_share_of_bits(ber: float):
    found = flips(PAYLOADS, binary_symmetric(PAYLOADS, ber, np.random.default_rng(1))).sum()
    assert abs(found - BITS * ber) < 5 * np.sqrt(BITS * ber * (1 - ber))


def test_payloads_of_one_length_meet_the_errors_that_evaluate_injects():
    block = np.frombuffer(b"".join(PAYLOADS), np.uint8).reshape(len(PAYLOADS), -1)
    expected = flip_bits(block, 0.01, channel_rng(3, 0.01))
    found = Channel("bsc", 0.01).pass_on(PAYLOADS, Channel("bsc", 0.01).rng(3))[0]
    assert b"".join(found) == expected.tobytes()


@pytest.mark.parametrize(("snr_db", "share"), [(0.0, 0.158655), (5.0, 0.037679), (100.0, 0.0)])
def test_noise_flips_the_share_of_bits_that_its_ratio_means(snr_db: float, share: float):
    """The Gaussian tail Q(sqrt(SNR)): scipy.stats.norm.sf(10 ** (snr_db / 20))."""
    channel = Channel("awgn", snr_db)
    received, erased = channel.pass_on(PAYLOADS, channel.rng(4))
    assert erased is None and channel.flips_bits and channel.ber == pytest.approx(share, abs=1e-6)
    found = flips(PAYLOADS, received).sum()
    assert abs(found - BITS * share) <= 5 * np.sqrt(BITS * share * (1 - share))
    assert channel.pass_on(PAYLOADS, channel.rng(4))[0] == received


def test_payloads_of_several_lengths_keep_them():
    payloads = [bytes(n) for n in (0, 1, 7, 300)]
    received = binary_symmetric(payloads, 0.5, np.random.default_rng(0))
    assert [len(p) for p in received] == [0, 1, 7, 300] and received != payloads


@pytest.mark.parametrize("burst", [4, 32])
def test_bursts_have_the_asked_mean_rate_and_length(burst: int):
    ber = 0.02
    found = flips(PAYLOADS, gilbert_elliott(PAYLOADS, ber, np.random.default_rng(5), burst_bits=burst))
    # Errors come in bursts, so the variance of the mean is that of whole bursts.
    assert abs(found.mean() - ber) < 6 * np.sqrt(ber * burst / BITS)
    # In the bad state every second bit flips: P(flip next | flip) = (1 - 1/burst) / 2, up to chance.
    next_too = found[1:][found[:-1] == 1].mean()
    assert abs(next_too - 0.5 * (1 - 1 / burst)) < 0.04


def test_bursts_that_would_have_to_overlap_are_refused():
    with pytest.raises(UsageError, match="too short"):
        gilbert_elliott(PAYLOADS, 0.4, np.random.default_rng(0), burst_bits=1)


def test_a_bit_error_rate_of_one_half_is_bad_all_the_time_and_zero_never():
    rng = np.random.default_rng(0)
    assert gilbert_elliott(PAYLOADS, 0.0, rng, burst_bits=8) == PAYLOADS
    assert abs(flips(PAYLOADS, gilbert_elliott(PAYLOADS, 0.5, rng, burst_bits=8)).mean() - 0.5) < 0.01


def test_lost_frames_are_whole_and_as_many_as_asked():
    masks = np.stack(frame_loss(PAYLOADS, 0.2, np.random.default_rng(2), frame_bytes=16))
    frames = np.stack([masks[:, start : start + 16].all(1) for start in (0, 16, 32, 48)], 1)
    assert (np.repeat(frames, 16, axis=1)[:, :50] == masks).all()
    assert abs(frames.mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / frames.size)


def test_a_deadline_loses_the_end_and_as_much_as_frame_loss():
    lost = Channel("frame-loss", 0.3, frame_bytes=8).pass_on(PAYLOADS, np.random.default_rng(4))[1]
    late = Channel("deadline", 0.3, frame_bytes=8).pass_on(PAYLOADS, np.random.default_rng(4))[1]
    assert lost is not None and late is not None
    for mask, end in zip(lost, late, strict=True):
        assert mask[::8].sum() == end[::8].sum() and (np.diff(end.astype(int)) >= 0).all()


def test_a_seed_repeats_the_errors_and_another_does_not():
    channel = Channel("gilbert-elliott", 0.02)
    one, again, other = (channel.pass_on(PAYLOADS, channel.rng(seed))[0] for seed in (0, 0, 1))
    assert one == again != other


def test_dropping_loses_exactly_the_damaged_payloads():
    arrival = send(PAYLOADS, Channel("bsc", 1e-3), FRAMINGS["drop"], np.random.default_rng(0))
    assert arrival.erased is not None
    gone = np.array([mask.all() for mask in arrival.erased])
    damaged = np.array([a != b for a, b in zip(PAYLOADS, arrival.payloads, strict=True)])
    assert (gone == damaged).all() and 0.2 < gone.mean() < 0.45  # 1 - 0.999^400 = 0.33
    assert (arrival.transmissions == 1).all()


def test_retransmission_takes_as_many_transmissions_as_the_error_rate_says():
    framing = Framing("drop", retransmissions=3)
    arrival = send(PAYLOADS, Channel("bsc", 1e-3), framing, np.random.default_rng(0))
    bad = 1 - 0.999**400
    assert arrival.erased is not None
    assert abs(np.mean([m.all() for m in arrival.erased]) - bad**4) < 0.02
    assert abs(arrival.transmissions.mean() - (1 + bad + bad**2 + bad**3)) < 0.08
    assert arrival.transmissions.max() <= 4


@pytest.mark.parametrize(
    ("kind", "rate"), [("bsc", 0.6), ("awgn", 101.0), ("bsc", -0.1), ("frame-loss", 1.5), ("rayleigh", 0.1)]
)
def test_a_channel_out_of_range_is_refused(kind: str, rate: float):
    with pytest.raises(UsageError):
        Channel(kind, rate)  # type: ignore[arg-type]
