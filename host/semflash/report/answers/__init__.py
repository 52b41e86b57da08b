"""What a report says of answers: features for all task networks, and details for each kind of output."""
