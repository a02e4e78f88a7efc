"""From the text of an operation to its answer.

limits        how much one operation may select, and the size of a document
costs         what an operation may cost, known before it runs
documents     text → parsed, measured, validated; kept
prepared      an operation of a document, with its variables, its cost and its plans
compiler      operation → plan: the fields that are selected, their resolvers, and the completion of their values
inputs        variables and arguments
sizes         how many values the variables hold
argument_texts selectors and conditions in PQL among the arguments, checked before anything is read
preconditions what must hold of arguments before anything is read
lookahead     what is selected below a field that reads records, as a projection
resolvers     where the values of a column come from
columns       how they are completed, level by level
introspection answers about the schema itself
paths         where a value is in the answer, for errors
schemas       a sandbox's configuration → its GraphQL schema; kept
stages        how long each of these took
errors        exceptions → the errors of an answer
operations    the sequence of all of them
"""
