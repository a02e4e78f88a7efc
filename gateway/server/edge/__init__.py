"""The process of an edge: it answers from its store, and knows no hub."""
