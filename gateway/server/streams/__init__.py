"""Documents as JSON lines, from a request, a file or a pipe: cut into chunks, counted, ingested as one batch."""
