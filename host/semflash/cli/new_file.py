"""The semflash.toml that `semflash new` writes: every choice with a comment, nothing hidden."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semflash.training.recipes.own import OwnPlan


#: Family of the codec that comes with the start.
STARTED = "semanticnn"


@dataclass(frozen=True)
class Project:
    """What all kinds of projects have.

    Attributes:
        name: Of the bundle.
        board: It runs on.
    """

    name: str
    board: str


def of_pictures(project: Project, plan: OwnPlan, dataset: str, split: str, grown: str) -> str:
    """Settings for pictures of one's own.

    Args:
        dataset: as [train] dataset has it, with a slash.
        split: a line about how the pictures were divided.
        grown: the network that the task network begins with; empty: none.
    """
    start = f'weights = {_value(grown)}  # begins with what this network learnt; "" begins at random'
    return f"""\
# {project.name}: written by `semflash new`, yours to change. Every key: docs/settings.md.
# From here or any folder below: semflash train, semflash export, semflash evaluate, semflash run.

[train]
recipe = "photos"  # what the fields below do not say
dataset = {_value(dataset)}  # {split}
out_dir = "runs/{project.name}"
task_steps = {plan.task_steps}  # steps of the network that knows the classes
codec_steps = {plan.codec_steps}  # steps of the codec on top of it
seed = 0

[train.task]
image_size = {plan.side}  # every picture is resized to this many pixels square
batch = {plan.batch}
{start}

[train.codec]
family = {_value(plan.family)}
batch = {plan.batch}
start = {_value(grown if plan.family == STARTED else "")}  # weights that the codec begins with
{_sizes(plan)}
# These sizes make {plan.payload_bytes} bytes per image; sizes.latent raises or lowers it
# (semflash train --rate-table).

{build_table(project, _value(f"{project.name}.semcodec"))}"""


def _sizes(plan: OwnPlan) -> str:
    return "\n".join(f"sizes.{name} = {_value(value)}" for name, value in plan.sizes.items())


def build_table(project: Project, bundle: str) -> str:
    """[build] and [monitor], which all kinds have."""
    return f"""\
[build]
bundle = {bundle}  # what export makes, and evaluate and run take
board = {_value(project.board)}  # semflash boards lists them

[monitor]
# count = 500  # test images that run through the board (200, or all where there are fewer)
"""


def of_zoo(project: Project, bundle: str) -> str:
    """Settings for a bundle that comes with semflash."""
    return f"""\
# {project.name}: written by `semflash new --from zoo`, yours to change. Every key: docs/settings.md.
# The bundle is trained: semflash evaluate, semflash run.

{build_table(project, _value(bundle))}"""


def of_network(project: Project, dataset: str, task_run: str) -> str:
    """Settings for an imported network, whose codec is trained on its own data."""
    return f"""\
# {project.name}: written by `semflash new`, yours to change. Every key: docs/settings.md.
# The network was not imported yet: the command stands in what `semflash new` printed.

[train]
recipe = "photos"
dataset = {_value(dataset)}  # train/CLASS/*.jpg and test/CLASS/*.jpg, the classes of the network
task_run = {_value(task_run)}  # where semflash import puts the network
out_dir = "runs/{project.name}"
codec_steps = 1500
seed = 0

[train.codec]
batch = 16

{build_table(project, _value(f"{project.name}.semcodec"))}"""


def _value(value: Any) -> str:
    """A value as TOML; JSON's strings, numbers and lists are such."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
