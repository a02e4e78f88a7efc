"""The GraphQL API: types, queries and mutations of each noun, and what they share."""
