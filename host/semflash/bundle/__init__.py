"""The bundle: the one contract between training, device and edge (``docs/bundle.md``)."""

from semflash.bundle.reader import Bundle, read_bundle, resolve_bundle, zoo_names
from semflash.bundle.writer import update_record, write_bundle

__all__ = ["Bundle", "read_bundle", "resolve_bundle", "update_record", "write_bundle", "zoo_names"]
