"""Stands in for PlatformIO and OpenOCD: `python -m platformio run ... -t upload` over a desk of boards."""
