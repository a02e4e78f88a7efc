"""The domain: its nouns, rules and verbs, in rooms, each built on the ones before: rules, work, config, facts, views, reading, ingest, operations."""
