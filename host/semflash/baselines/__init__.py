"""What people would use instead of SemanticNN, behind one interface: :class:`semflash.baselines.base.Method`."""
