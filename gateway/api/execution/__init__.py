"""From the text of an operation to its answer.

limits      how much one operation may ask for, and what a document asks for
costs       what an operation may cost, known before it runs
documents   text → parsed, measured, validated; kept
prepared    an operation of a document, with its variables, its cost and its plans
compiler    operation → plan: what is selected, where values come from, how they are completed
inputs        variables and arguments
sizes         how much is in the variables
wants         which parts of documents are wanted
resolvers     where the values of a column come from
columns       how they become finished ones, level by level
introspection what is asked of the schema itself
places        where they stand, for errors
schemas     a sandbox's configuration → its GraphQL schema; kept
stages      how long each of these took
errors      whatever went wrong → what the caller is told of it
operations  the way through all of them
"""
