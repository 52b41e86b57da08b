"""Asking a teacher: :func:`semflash.training.teaching.teach.teach` behind ``semflash teach``."""
