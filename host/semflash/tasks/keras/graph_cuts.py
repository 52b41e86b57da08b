"""Cutting a network's graph at one tensor: names, nearest names, and what would cross the cut.

The graph is a list of steps in execution order, whatever it was read from (a Keras model, an ONNX file).
A cut is single when nothing behind it reads anything before it but the tensor itself: only then is what the
device sends all that the edge needs. A skip connection that begins before the tensor and ends behind it
makes a cut that is not single.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from semflash.errors import TrainingError

_SHOWN = 5


@dataclass(frozen=True)
class Step:
    """One operation: its name and the names of the tensors it reads and makes (constants left out)."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def live_steps(steps: Sequence[Step], source: str, result: str) -> list[Step]:
    """The steps that lie between ``source`` and ``result``: dead and constant ones left out."""
    reached = {source}
    forward = []
    for step in steps:
        if not reached.isdisjoint(step.inputs):
            reached.update(step.outputs)
            forward.append(step)
    needed, kept = {result}, []
    for step in reversed(forward):
        if not needed.isdisjoint(step.outputs):
            needed.update(name for name in step.inputs if name in reached)
            kept.append(step)
    return kept[::-1]


def single_cuts(steps: Sequence[Step], source: str, result: str) -> list[str]:
    """Tensors at which the graph can be cut, in execution order, without ``source`` and ``result``.

    >>> chain = [Step("a", ("x",), ("y",)), Step("b", ("y",), ("z",)), Step("add", ("y", "z"), ("sum",))]
    >>> single_cuts(chain, "x", "sum")
    ['y']
    """
    live = live_steps(steps, source, result)
    last_use = {name: index for index, step in enumerate(live) for name in step.inputs}
    last_use[result] = len(live)
    open_tensors, cuts = {source}, list[str]()
    for index, step in enumerate(live):
        open_tensors.update(name for name in step.outputs if name in last_use)
        open_tensors = {name for name in open_tensors if last_use.get(name, -1) > index}
        if len(open_tensors) == 1:
            cuts.extend(open_tensors - {result})
    return [name for index, name in enumerate(cuts) if name not in cuts[:index]]


def check_cut(steps: Sequence[Step], source: str, result: str, split: str) -> None:
    """Refuse a cut through anything but the one tensor ``split``.

    Raises:
        TrainingError: nothing lies on one side of it, or a connection crosses it; the message names it.
    """
    live = live_steps(steps, source, result)
    cuts = single_cuts(steps, source, result)
    if split in cuts:
        return
    near = _around(cuts, live, split)
    remedy = f"cut at {near}" if near else "this network has no tensor at which it can be cut"
    before = {source}
    for step in live_steps(steps, source, split):
        before.update(step.outputs)
    crossing = [
        (name, step.name)
        for step in live
        for name in step.inputs
        if name in before and name != split and split not in step.outputs and before.isdisjoint(step.outputs)
    ]
    if not crossing:
        raise TrainingError("nothing of the network is left beside this split", value=split, remedy=remedy)
    names = "; ".join(f"{tensor} goes to {reader}" for tensor, reader in crossing[:_SHOWN])
    raise TrainingError(
        f"the split is not a single tensor, a skip connection crosses it: {names}",
        value=split,
        remedy=remedy,
    )


def unknown_name(name: str, known: Collection[str], how_to_list: str) -> TrainingError:
    """The error for a split that does not exist: the nearest names, and how to see all."""
    near = difflib.get_close_matches(name, known, n=_SHOWN, cutoff=0.4)
    lower = name.lower()
    near += [one for one in known if lower in one.lower() and one not in near][: _SHOWN - len(near)]
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return TrainingError(
        "the network has no such split point", value=name, remedy=f"{hint}{how_to_list} lists all"
    )


def _around(cuts: Sequence[str], live: Sequence[Step], split: str) -> str:
    """The nearest single cuts before and behind the step that makes ``split``."""
    order = {name: index for index, step in enumerate(live) for name in step.outputs}
    place = order.get(split, -1)
    before = [name for name in cuts if order[name] < place][-2:]
    behind = [name for name in cuts if order[name] > place][:2]
    return " or ".join(before + behind)
