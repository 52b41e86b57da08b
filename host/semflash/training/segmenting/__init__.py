"""Dividing a data set's images into segments once, and asking the task network what matters in them."""
