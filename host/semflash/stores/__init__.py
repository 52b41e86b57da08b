"""Costly answers kept as memory-mapped files, with which a stopped process goes on: the part of the files.

Teacher stores (:mod:`semflash.teachers`) and segment stores (:mod:`semflash.segments`) are made of it.
"""
