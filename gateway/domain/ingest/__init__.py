"""Ingestion: documents are validated, then stored with every view in one transaction; each is accepted, a duplicate, or refused."""
