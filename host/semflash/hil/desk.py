"""One board on the desk: its steps from build to budget, each done once; what they found is kept."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.data.sample import balanced
from semflash.edge.attach import attach
from semflash.errors import WrongFirmwareError
from semflash.firmware.boards import lock as board_lock
from semflash.firmware.boards.hardware_map import read_map
from semflash.firmware.building.firmware import build_bundle
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import emulator
from semflash.firmware.probes import probes
from semflash.firmware.probes.flash import flash
from semflash.firmware.probes.verdicts import Verdict, VerdictError
from semflash.hil.budget import Budget
from semflash.hil.images import made_images
from semflash.hil.measure import Measured, check_outcomes, check_steered, measure, measure_controls
from semflash.hil.plan import HilPlan, Target
from semflash.hil.verdict import LINK_UNSTEADY, TOO_SLOW, CheckFailed
from semflash.link.handshake import Expected
from semflash.link.messages import Hello
from semflash.link.port import Port
from semflash.link.raw_record import RawRecorder, RecordingPort
from semflash.link.session import Session
from semflash.processes import children

#: A byte on the line with start and stop bit.
BITS_PER_BYTE = 10
#: Time that line and clock need, as a share of what an image takes on a plugged-in board; less fails.
SLOWEST_SHARE = 0.5
#: Different images that are sent with controls of their own.
STEERED_IMAGES = 8


class NotReached(Exception):
    """A step before this one did not succeed; the text says which."""

    verdict = "not-reached"


class LeftOut(NotReached):
    """A step that need not be done; those after it go on."""

    def __init__(self, why: str, verdict: str = "left-out") -> None:
        super().__init__(why)
        self.verdict = verdict


class Desk:
    """A board of the map and what is known of it so far.

    Args:
        target: The board.
        plan: Of the whole run.
    """

    def __init__(self, target: Target, plan: HilPlan) -> None:
        self.target, self.plan = target, plan
        self.facts: dict[str, Any] = {"board": target.board.name, "bundle": plan.bundle.name}
        self._ends: dict[str, str] = {}
        self._stack = ExitStack()
        self._user = board_lock.BoardUser("semflash hil", plan.map_path)
        self._port: Port | None = None
        self._raw: RawRecorder | None = None
        self.built: BuildResult | None = None
        self.hello: Hello | None = None
        self.measured: Measured | None = None

    def step(self, name: str, needs: tuple[str, ...], work: Callable[[], str]) -> str:
        """Do one step and remember how it ended.

        Returns:
            what it found, in words.

        Raises:
            NotReached: A step of `needs` did not succeed.
            SemflashError: This one failed.
        """
        for before in needs:
            if self._ends.get(before) != "ok":
                end = self._ends.get(before, "was not run")
                self._ends[name] = "was not reached"
                raise NotReached(f"{before} {end}")
        self._ends[name] = "failed"
        try:
            found = work()
        except LeftOut:
            self._ends[name] = "ok"
            raise
        self._ends[name] = "ok"
        return found

    def close(self) -> None:
        """Give the port and the lock back; stop an emulated board that was started here.

        Raises:
            StorageError: the raw recording ended before the run, for lack of room.
        """
        self._port = None
        self._stack.close()
        if self._raw is not None and self._raw.failure is not None:
            raise self._raw.failure

    def build(self) -> str:
        """The firmware for this board."""
        from dataclasses import replace

        folder = self.plan.work_dir / self.target.name
        options = replace(self.plan.build, out_dir=folder)
        self.built = build_bundle(self.plan.bundle, self.target.board, options)
        sizes = self.built.sizes
        self.facts |= {"build_id": self.built.build_id, "flash_bytes": sizes.flash if sizes else None}
        size = f"{sizes.flash:,} B flash, {sizes.ram_static:,} B RAM, " if sizes else ""
        return f"{size}build {self.built.build_id}"

    def flash(self) -> str:
        """Take the board for this run and upload; the upload is left out with --no-flash.

        Raises:
            BoardBusyError: Another job has it.
            VerdictError: The upload failed.
            LeftOut: --no-flash.
        """
        assert self.built is not None
        board, entry = self.target.board, self.target.entry
        probe, starts = None, False
        if board.kind == "hardware":
            chosen = self._probe()
            probe = chosen.serial or chosen.port
        if board.kind != "native":
            self._stack.enter_context(self._user.hold(board_lock.key(board, probe)))
        if not self.plan.flash:
            raise LeftOut("left out (--no-flash)")
        if board.kind == "emulated" and emulator.status(board.name) is None:
            self._stack.callback(emulator.stop, board.name)
            starts = True
        done = flash(self.built, entry=entry, confirmed=False, user=self._user)
        state = emulator.status(board.name) if starts else None
        if state is not None:
            children.tie(state.pid, os.getpid())  # also where nobody is left to stop it
        return f"port {done.port}" if done.port else "in this process"

    def greet(self) -> str:
        """HELLO: the board, build and bundle are the ones that were flashed.

        Raises:
            VerdictError: Another board answers, or none is there.
            WrongFirmwareError: Another build.
            LinkError: No answer.
        """
        assert self.built is not None
        self.hello = hello = self.session().connect()
        self.facts |= {"engine": hello.engine, "clock_hz": hello.clock_hz, "counter": hello.counter}
        board, build_id = self.target.board.name, f"{hello.build_id:08x}"
        if hello.board != board:
            raise VerdictError(Verdict.WRONG_BOARD, value=f"it is {hello.board}, the map says {board}")
        if build_id != self.built.build_id:
            raise WrongFirmwareError(
                "the board runs other firmware than was built for it",
                value=f"build {build_id}, wanted {self.built.build_id}",
                remedy="semflash hil without --no-flash flashes it",
            )
        return f"{hello.board}, {hello.engine}, {hello.clock_hz / 1e6:.0f} MHz, reset by {hello.reset_cause}"

    def session(self, port: Port | None = None) -> Session:
        """A new session on the board's port, or on `port` in front of it."""
        return Session(port or self.port(), Expected.of(self.plan.bundle), timeout_s=self.plan.timeout_s)

    def port(self) -> Port:
        """The board's port, opened once; with --record, what passes is written down."""
        if self._port is None:
            board = self.target.board
            opened = attach(
                board,
                port=self._probe().port if board.kind == "hardware" else None,
                baud=self.target.baud,
                build_dir=self.plan.work_dir / self.target.name,
                user=self._user,
            )
            self._stack.callback(opened.close)
            self._port = opened
            if self.plan.record_dir is not None:
                self._port = RecordingPort(opened, self._recorder(self.plan.record_dir))
        return self._port

    def _probe(self) -> probes.Probe:
        """The probe that the plan's map means."""
        known = read_map(self.plan.map_path) if self.plan.map_path is not None else None
        return probes.choose(self.target.board, entry=self.target.entry, hardware_map=known)

    def _recorder(self, folder: Path) -> RawRecorder:
        """The file for the raw bytes of this board, closed with it."""
        bundle = self.plan.bundle
        header = {"bundle": bundle.name, "bundle_hash": bundle.hash_hex, "target": self.target.name}
        folder.mkdir(parents=True, exist_ok=True)
        self._raw = RawRecorder(folder / f"{self.target.name}.sfraw", header)
        return self._stack.enter_context(self._raw)

    def images(self, count: int) -> NDArray[np.uint8]:
        """`count` images uint8 (N, H, W, C): made ones, or test images of the named data set, as many of each
        class."""
        plan = self.plan
        if plan.dataset is None:
            return made_images(count, plan.bundle.image_shape, plan.seed)
        from semflash.data.lazy import some
        from semflash.edge.bundle_data import bundle_dataset

        split = bundle_dataset(plan.bundle, plan.dataset, data_dir=plan.data_dir).test
        found: NDArray[np.uint8] = np.asarray(some(split.images, balanced(split.labels, count, plan.seed)))
        return found

    def codes(self) -> str:
        """Every payload equals the reference, bit for bit.

        Raises:
            CheckFailed: one differs, or an image was lost.
        """
        images = self.images(self.plan.images)
        self.measured = found = measure(self.session(), images, self.plan.bundle)
        self.facts |= {"images": len(images), "images_per_s": round(found.received / found.seconds, 1)}
        if found.counts:
            self.facts["count_per_image"] = round(statistics.median(found.counts))
            self.facts["stack_bytes"] = found.stack_bytes
        check_outcomes(found, len(images))
        return f"{found.received:,} of {len(images):,} payloads equal, bit for bit"

    def controls(self) -> str:
        """Every value of the program's controls, another for each image: the board uses what it is told.

        Raises:
            CheckFailed: an image was encoded with other values, differs from the reference with these, or was
                lost.
            LeftOut: the program has no controls.
        """
        names = ", ".join(control.name for control in self.plan.bundle.program.controls)
        if not names:
            raise LeftOut("the bundle has no controls")
        found = measure_controls(self.session(), self.images(STEERED_IMAGES), self.plan.bundle)
        check_steered(found)
        self.facts["controls"] = names
        return f"{found.images:,} images, each with values of its own of {names}: all used and told"

    def throughput(self) -> str:
        """The rate of the bit-exact run: nothing was sent twice, and clock and line were used.

        Raises:
            CheckFailed: frames were lost or repeated, or a plugged-in board took much longer than its parts.
        """
        assert self.measured is not None and self.hello is not None
        found, link, board = self.measured, self.measured.link, self.target.board
        repairs = {
            "resyncs": link.resyncs,
            "images sent again": link.images_resent,
            "frames lost": link.frames_lost,
            "frames dropped": link.frames_dropped,
            "payloads damaged": found.damaged,
        }
        if any(repairs.values()):
            raise CheckFailed(
                LINK_UNSTEADY,
                "the link lost or repeated frames at full speed",
                value=", ".join(f"{count} {name}" for name, count in repairs.items() if count),
                remedy="another cable or hub port, or a lower baud rate",
                exit_code=3,
            )
        rate, up, down = (n / found.seconds for n in (found.received, link.bytes_sent, link.bytes_received))
        shown = f"{rate:.1f} images/s, {up / 1000:.1f} kB/s up, {down / 1000:.1f} kB/s down"
        if board.kind != "hardware":
            return shown
        assert board.serial is not None
        baud = self.target.baud or board.serial.baud
        line_s = BITS_PER_BYTE * link.bytes_sent / found.received / baud
        clock_hz = self.hello.clock_hz  # 0: the firmware does not say
        compute_s = statistics.median(found.counts) / clock_hz if found.counts and clock_hz else 0.0
        share = rate * (line_s + compute_s)
        self.facts["line_share"] = round(rate * line_s, 3)
        if share < SLOWEST_SHARE:
            raise CheckFailed(
                TOO_SLOW,
                f"an image takes {1 / rate:.4f} s, its bytes and its encoding {line_s + compute_s:.4f} s",
                value=shown,
                remedy="another USB port; a shorter latency timer; semflash bench shows the layers",
            )
        return f"{shown}, {100 * rate * line_s:.0f} % of the line"

    def cost(self) -> Budget:
        """What the firmware costs, as measured by `codes`."""
        assert self.built is not None and self.hello is not None and self.measured is not None
        counts = self.measured.counts if self.hello.counter != "none" else []
        native = self.target.board.kind == "native"
        return Budget(
            board=self.target.board.name,
            bundle=self.plan.bundle.name,
            engine=self.hello.engine,
            bundle_hash=self.plan.bundle.hash_hex[:8],
            counter=self.hello.counter,
            count_per_image=round(statistics.median(counts)) if counts else None,
            stack_bytes=None if native else self.measured.stack_bytes or None,
            flash_bytes=self.built.sizes.flash if self.built.sizes is not None else None,
        )
