"""A real-time customer profile: facts about people come in, identity graphs and merged profiles come out, over GraphQL."""
