"""Projections: the tree, its two interpreters (SQL and Python), and conditions. It knows no noun, no GraphQL and no connection."""
