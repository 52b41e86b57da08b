"""The device program: one description of everything a device does for an image.

Export writes it, the code generator turns it into C, the Python reference runs it as the golden device, and
the edge reads the payload by it. Nothing here imports a model runtime.
"""
