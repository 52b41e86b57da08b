"""PlatformIO platform without packages: the compiler comes from PATH (Debian: gcc-arm-none-eabi)."""

from platformio.public import PlatformBase


class SemflashlocalPlatform(PlatformBase):
    """PlatformIO finds this class by the platform's name with a capital first letter."""

    def is_embedded(self) -> bool:
        """A microcontroller platform: PlatformIO then checks flash and RAM sizes."""
        return True
