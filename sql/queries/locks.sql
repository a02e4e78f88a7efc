-- The lock of a sandbox's facts, held until the transaction ends; reads go on. Its first key is ours alone, its second the sandbox.

-- name: try_shared(sandbox_id) -> value
-- True if the lock is taken now, beside others that only add facts; false while somebody holds it exclusively or waits to.
select pg_try_advisory_xact_lock_shared(74023, $1::bigint::integer);

-- name: try_exclusive(sandbox_id) -> value
-- True if the lock is taken now, and nobody else writes to the sandbox's facts.
select pg_try_advisory_xact_lock(74023, $1::bigint::integer);

-- name: lock_shared(sandbox_id) -> value
-- Take the lock beside others that only add facts; wait while somebody holds it exclusively or waits to.
select pg_advisory_xact_lock_shared(74023, $1::bigint::integer);

-- name: lock_exclusive(sandbox_id) -> value
-- Take the lock so that nobody else writes to the sandbox's facts; wait until the others are done.
select pg_advisory_xact_lock(74023, $1::bigint::integer);

-- name: is_awaited(sandbox_id) -> value
-- Whether somebody waits for the lock.
select exists (select from pg_locks where locktype = 'advisory' and classid = 74023 and objid = $1::bigint::integer and not granted);

-- name: lock_stripes(sandbox_id, stripes) -> rows
-- Take these locks in their order; each stands for all people of a stripe. Keys are numbers of eight bytes, as those of events are, which are hashed.
select pg_advisory_xact_lock($1::bigint * 1024 + stripe)
  from unnest($2::bigint[]) as stripe;

-- name: set_for_snapshot() -> row
-- Have this transaction use a single connection to each node of a cluster: what it sees by another would be of another moment. And let nodes send as many
-- rows as a statement needs, which goes through whole sandboxes: Citus by itself ends one at a gigabyte.
select set_config('citus.max_adaptive_executor_pool_size', '1', true), set_config('citus.max_intermediate_result_size', '-1', true);

-- name: reach_nodes() -> value
-- Begin the transaction's part on each node of a cluster. It is about no sandbox, so that all nodes are asked and none has a row for it. Walks identity_pkey.
select count(*)
  from gateway.identity
 where sandbox_id < 0;
