-- What ends a change of facts, once every view has been brought to what they say.

-- name: prepare_nodes(sandbox_id, keys) -> none
-- On a cluster: an update, of no row, on each node where rows of these identities and people lie. Citus prepares a transaction before it commits on nodes
-- that it knows to have written, and knows it of updates; rows that a COPY or an INSERT ... SELECT brings where the transaction has read before, it takes for
-- nothing written (14.0, multi_copy.c), and commits them with no promise: they would be lost with a node that dies right then, while those of others stand.
update gateway.identity
   set has_events = has_events
 where sandbox_id = $1 and xid = any($2::uuid[]) and degree_limit < -1;
