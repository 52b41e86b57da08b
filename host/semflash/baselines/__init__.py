"""What people would use instead of SemanticNN, behind one interface: :class:`baselines.base.Method`."""
