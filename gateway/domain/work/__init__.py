"""Work in a sandbox: jobs that outlive a request, the lock of a sandbox's facts, and the log of who changed what."""
