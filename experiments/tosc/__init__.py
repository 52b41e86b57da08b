"""Experiments with TOSC (docs/experiments/tosc.md)."""
