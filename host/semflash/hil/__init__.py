"""Hardware in the loop: every board of a map is built for, flashed and checked; see docs/hil.md."""
