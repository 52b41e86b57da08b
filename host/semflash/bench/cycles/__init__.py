"""Estimated cycles of a Cortex-M4: a timing table inside the emulator (docs/cycles.md)."""
