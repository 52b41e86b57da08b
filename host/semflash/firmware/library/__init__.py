"""A bundle's encoder as a library for somebody's own firmware: sources, manifest, example."""
