"""PQL: questions about a person or an event, as text.

text → parser → ast → check: names and types against the schema → typed → sql: an expression of Postgres and its parameters
"""
