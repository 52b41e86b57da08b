"""Whether tail, latent and board fit a plan."""

from __future__ import annotations

from semflash_codegen.errors import CapacityError, RequestError
from semflash_codegen.plan import Plan
from semflash_codegen.request import CodegenRequest, Report

_UINT16_MAX = 65535


def payload_bytes(plan: Plan, request: CodegenRequest) -> int:
    """Size of the packed codes; checks that tail and latent fit.

    Raises:
        RequestError: they do not.
    """
    output = plan.model.tensors[plan.model.outputs[0]]
    if (request.tail.channels, request.tail.zero_point) != (plan.latent_channels, output.zero_point):
        raise RequestError(
            f"the tail does not fit the encoder's output ({plan.latent_channels} channels, zero point "
            f"{output.zero_point})",
            value=(request.tail.channels, request.tail.zero_point),
            remedy="export the bundle again",
        )
    payload = -(-plan.latent_positions * plan.latent_channels * request.bits_per_symbol // 8)
    if plan.latent_positions > _UINT16_MAX or payload > _UINT16_MAX:
        raise RequestError(
            f"the payload is larger than {_UINT16_MAX} bytes", value=payload, remedy="use a smaller latent"
        )
    return payload


def check_capacity(request: CodegenRequest, report: Report, constants: str, activations: str) -> None:
    """Compare what the model needs with the board; `constants` and `activations` say what takes the room.

    Raises:
        CapacityError: the board's flash or RAM is too small; says by how much.
    """
    rooms = (
        ("flash", report.constant_bytes, request.flash_bytes, constants),
        ("RAM", report.state_bytes, request.ram_bytes, activations),
    )
    for room, need, have, what in rooms:
        if have is not None and need > have:
            raise CapacityError(
                f"the model's {what} need {need} bytes of {room}, the board has {have}: "
                f"{need - have} bytes too much",
                value=need, remedy="use a smaller encoder or a larger board",
            )  # fmt: skip
