"""Experiments: what is trained and measured for docs/experiments.md (run.py), and its tables (tables.py)."""
