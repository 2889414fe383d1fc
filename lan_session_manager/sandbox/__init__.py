"""The box of a task: OCI configuration, system call filter, limits, monitor, and the proof that it all holds."""
