"""Edges: the store in which an edge keeps what a hub delivers to it. Hub and edge process both use it, and nothing else of each other."""
