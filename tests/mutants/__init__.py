"""Mutation testing of the rooms whose guards matter most: see docs/mutants.md."""
