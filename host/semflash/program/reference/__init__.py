"""The golden device: the program in numpy, written from its definition and not from the C.

Graphs are run by a function that the caller gives, so that nothing here imports a model runtime.
"""
