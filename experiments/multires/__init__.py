"""Experiments with patches of several resolutions (docs/experiments/multires.md)."""
