"""What is wanted of records: one tree, which SQL writes as JSON and Python evaluates to equal JSON."""
