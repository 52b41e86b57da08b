"""Processes that are started, and how everything ends in order."""
