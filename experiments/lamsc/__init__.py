"""Experiments with segments, what matters in them, and the LAM-SC family (docs/experiments/lamsc.md)."""
