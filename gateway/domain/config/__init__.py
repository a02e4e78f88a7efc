"""Configuration: what people set. Organizations, sandboxes, namespaces, schemas, datasets, merge policies."""
