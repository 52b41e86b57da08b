"""What the .tflite files of a bundle may hold, checked before an interpreter sees them."""
