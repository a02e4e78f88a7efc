"""Processes around the API: the server and its HTTP, the worker, streams of documents, tokens, backups, logs and metrics."""
