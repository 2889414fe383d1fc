"""Start, follow, cancel, adopt: the machines that run tasks."""
