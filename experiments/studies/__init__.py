"""Jobs of experiments whose results are small JSON files: what a job is, its file, and doing all of them."""
