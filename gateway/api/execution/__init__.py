"""From the text of an operation to its answer.

limits      how much one operation may ask for, and what a document asks for
costs       what an operation may cost, known before it runs
documents   text → parsed, measured, validated; kept
schemas     a sandbox's configuration → its GraphQL schema; kept
errors      whatever went wrong → what the caller is told of it
operations  the way through all of them
"""
