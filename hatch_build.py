"""Build hook: puts what `semflash build` needs beside Python into the wheel (not into an editable install).

An editable install finds these folders in the checkout; see semflash.firmware.resources.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

RESOURCES = ("device", "boards", "platformio.ini")


class ResourcesHook(BuildHookInterface):  # type: ignore[type-arg,misc]
    """Adds RESOURCES as semflash/_resources/... to standard wheels."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before the build; `version` is "standard" or "editable"."""
        if version == "editable":
            return
        build_data["force_include"] |= {name: f"semflash/_resources/{name}" for name in RESOURCES}
