"""Passes that write operators as others that the generator has, before anything is checked.

Each takes a model and gives a model; what it does not know it leaves as it is, and the checks refuse it.
"""

from __future__ import annotations

from semflash_codegen.rewrites.dilation import fold_dilation
from semflash_codegen.rewrites.ends import drop_ends
from semflash_codegen.rewrites.shapes import fold_shapes
from semflash_codegen.rewrites.split import split_into_slices

__all__ = ["drop_ends", "fold_dilation", "fold_shapes", "split_into_slices"]
