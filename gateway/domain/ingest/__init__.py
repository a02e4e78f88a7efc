"""Ingestion: documents are checked, written with every view in one transaction, and each is answered for."""
