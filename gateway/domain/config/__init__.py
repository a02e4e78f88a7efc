"""Configuration: organizations, sandboxes, namespaces, schemas, datasets and merge policies, and the rules by which they change."""
