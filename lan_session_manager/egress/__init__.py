"""The way out of a box: an HTTP proxy inside of its network namespace that connects to what a network profile lists."""
