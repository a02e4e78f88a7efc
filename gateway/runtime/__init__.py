"""What one process shares among its callers: caches, threads, time slices of the event loop, coalesced reads."""
