-- Appending facts: the stamp of a call, ties, warnings, and the counts of a batch.

-- name: stamp(sandbox_id) -> row
-- The call's time, the first of its thousand ordinals, the version of the configuration, and whether any identities of the sandbox are
-- unlinked. Called once all locks are held. The transaction gets its id before the number is drawn: whoever reads the journal
-- takes it that one without an id draws a greater number than all that had ended. Walks sandbox_pkey and unlinked_pair_pkey.
select pg_current_xact_id() as tx, gateway.now() as at, nextval('gateway.arrival') as ordinal, config_version,
       exists (select from gateway.unlinked_pair where sandbox_id = $1) as has_unlinked_pairs
  from gateway.sandbox
 where sandbox_id = $1;

-- name: is_any_unlinked(sandbox_id, xids) -> value
-- Tell whether one of these identities is unlinked from another. Walks unlinked_pair_pkey.
select exists (select from gateway.unlinked_pair where sandbox_id = $1 and xid = any($2::uuid[]));

-- name: tie(sandbox_id | xid uuid, tie_id uuid, batch_id uuid, dataset_id uuid, origin uuid, ingested_at timestamptz, ordinal bigint, xids uuid[], first_at timestamptz, last_at timestamptz) -> none
-- Appends ties, one row per member; a tie that the batch has already gets new times. Walks tie_pkey.
insert into gateway.tie as t (sandbox_id, xid, tie_id, batch_id, dataset_id, origin, ingested_at, ordinal, xids, first_at, last_at)
select $1::bigint, v.* from (values {rows}) as v (xid, tie_id, batch_id, dataset_id, origin, ingested_at, ordinal, xids, first_at, last_at)
on conflict (sandbox_id, xid, tie_id, batch_id) do update
   set first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at),
       ingested_at = greatest(t.ingested_at, excluded.ingested_at), ordinal = greatest(t.ordinal, excluded.ordinal);

-- name: warn(sandbox_id, dataset_id, batch_id, at | warning_id uuid, code text, message text, count bigint, sample json, xids uuid[]) -> none
-- Adds warnings to their counts, one row per dataset and code; the first warning stays the sample as long as that is kept. Walks ingestion_warning_pkey.
insert into gateway.ingestion_warning as w
       (sandbox_id, dataset_id, batch_id, first_seen_at, last_seen_at, warning_id, code, message, count, sample, xids)
select $1::bigint, $2::uuid, $3::uuid, $4::timestamptz, $4::timestamptz, v.*
  from (values {rows}) as v (warning_id, code, message, count, sample, xids)
on conflict (sandbox_id, warning_id) do update
   set count = w.count + excluded.count, last_seen_at = excluded.last_seen_at, batch_id = excluded.batch_id,
       sample = coalesce(w.sample, excluded.sample), xids = case when w.sample is null then excluded.xids else w.xids end;

-- name: count_batch(sandbox_id, batch_id, dataset_id, stored, failed, at) -> row
-- Adds the facts and the refused documents of this time to the counts of the batch, unless it is not LOADING: then there is no row. Calls run it
-- last, so that the batch is locked briefly. Walks batch_pkey: `is true` keeps the index of a dataset's batches out.
update gateway.batch
   set record_count = record_count + $4, failed_count = failed_count + $5, last_document_at = $6
 where sandbox_id = $1 and batch_id = $2 and (dataset_id = $3) is true and status = 'LOADING'
returning '{}'::uuid[] as erased;

-- name: count_batch_with_refused(sandbox_id, batch_id, dataset_id, stored, failed, at, xids) -> row
-- As `count_batch`, where documents were refused: returns which of the identities that they name are erased. Walks batch_pkey and identity_pkey.
with erased as materialized (
  select i.xid
    from gateway.identity as i
   where i.sandbox_id = $1 and i.xid = any($7::uuid[]) and (i.erased_at is not null) is true
)
update gateway.batch
   set record_count = record_count + $4, failed_count = failed_count + $5, last_document_at = $6
 where sandbox_id = $1 and batch_id = $2 and (dataset_id = $3) is true and status = 'LOADING'
returning array(select xid from erased) as erased;
