"""semflash: semantic codecs from a data set to labels on a microcontroller."""

__version__ = "0.1.0"
