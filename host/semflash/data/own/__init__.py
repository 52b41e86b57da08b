"""Pictures of one's own: looked at, divided, laid out for training. Needs Pillow, no TensorFlow."""
