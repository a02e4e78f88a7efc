"""Work in a sandbox: jobs that outlive a request, and the lock of a sandbox's facts."""
