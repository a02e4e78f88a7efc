-- What each store holds of one person, for an export about them: the rows behind a key, in the order of keys, which are the first columns.

-- name: list_identities(sandbox_id, xids, after_xid, size) -> rows
-- List identities, of which erased ones have no value. Walks identity_pkey.
select xid, namespace_id, value as identity_value, profile_id, has_events, erased_at, refused_count
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]) and xid > $3
 order by xid
 limit $4;

-- name: list_graphs(sandbox_id, xids, after_profile_id, size) -> rows
-- List the graphs of people by their ids. Walks graph_pkey.
select profile_id, xids, size, is_contested
  from gateway.graph
 where sandbox_id = $1 and profile_id = any($2::uuid[]) and profile_id > $3
 order by profile_id
 limit $4;

-- name: list_ties(sandbox_id, xids, after_xid, after_tie_id, after_batch_id, size) -> rows
-- List ties that name these identities, each once: at the first of its members among them. Walks tie_pkey.
select xid as member, tie_id, batch_id, dataset_id, origin, xids, ingested_at, first_at, last_at, is_retracted
  from gateway.tie
 where sandbox_id = $1 and xid = any($2::uuid[]) and (xid, tie_id, batch_id) > ($3, $4, $5)
   and xid = (select m.xid from unnest(xids) as m (xid) where m.xid = any($2) order by m.xid limit 1)
 order by xid, tie_id, batch_id
 limit $6;

-- name: list_unlinked_pairs(sandbox_id, xids, after_xid, after_other_xid, size) -> rows
-- List what these identities were unlinked from by hand. Walks unlinked_pair_pkey.
select xid, other_xid, created_at
  from gateway.unlinked_pair
 where sandbox_id = $1 and xid = any($2::uuid[]) and (xid, other_xid) > ($3, $4)
 order by xid, other_xid
 limit $5;

-- name: list_records(sandbox_id, xids, after_xid, after_dataset_id, after_ordinal, size) -> rows
-- List versions of records, replaced ones included. Walks record_pkey.
select xid, dataset_id, ordinal, batch_id, mode, ingested_at, observed_at, first_at, last_at, input as document, as_sent
  from gateway.record
 where sandbox_id = $1 and xid = any($2::uuid[]) and (xid, dataset_id, ordinal) > ($3, $4, $5)
 order by xid, dataset_id, ordinal
 limit $6;

-- name: list_fragments(sandbox_id, xids, after_xid, after_dataset_id, size) -> rows
-- List what records say; without a document, it is that of the version with the ordinal. Walks fragment_pkey.
select xid, dataset_id, ordinal, batch_id, ingested_at, observed_at, is_deleted, head_at, head_batch_id, head_ordinal, folded as document
  from gateway.fragment
 where sandbox_id = $1 and xid = any($2::uuid[]) and (xid, dataset_id) > ($3, $4)
 order by xid, dataset_id
 limit $5;

-- name: list_profiles(sandbox_id, xids, after_policy_id, after_profile_id, size) -> rows
-- List the merged documents that are kept of people by their ids. Walks profile_pkey.
select p.policy_id, p.profile_id, p.sources, p.modified_at, p.document
  from gateway.profile as p
 where p.sandbox_id = $1 and p.policy_id = any(array(select m.policy_id from gateway.merge_policy as m where m.sandbox_id = $1))
   and p.profile_id = any($2::uuid[]) and (p.policy_id, p.profile_id) > ($3, $4)
 order by p.policy_id, p.profile_id
 limit $5;

-- name: list_partials(sandbox_id, xids, after_xid, after_seconds, after_bucket, size) -> rows
-- List partials of computed attributes. Walks computed_partial_pkey.
select xid, bucket_seconds, bucket, first_at, last_at, to_json(numbers) as numbers, to_json(items) as items
  from gateway.computed_partial
 where sandbox_id = $1 and xid = any($2::uuid[]) and (xid, bucket_seconds, bucket) > ($3, $4, $5)
 order by xid, bucket_seconds, bucket
 limit $6;

-- name: list_kept_values(sandbox_id, xids, after_graph, after_attribute_id, after_profile_id, size) -> rows
-- List the values of computed attributes that are kept for searches, of people by their ids. Walks kept_attribute_pkey and kept_value_pkey.
select v.identity_graph, v.attribute_id, v.profile_id, v.next_change_at, v.value
  from gateway.kept_attribute as a
  join gateway.kept_value as v
    on v.sandbox_id = $1 and v.identity_graph = a.identity_graph and v.attribute_id = a.attribute_id and v.profile_id = any($2::uuid[])
 where a.sandbox_id = $1 and (v.identity_graph, v.attribute_id, v.profile_id) > ($3, $4, $5)
 order by v.identity_graph, v.attribute_id, v.profile_id
 limit $6;

-- name: list_events(sandbox_id, xids, after_xid, after_dataset_id, after_event_id, size) -> rows
-- List events. Walks event_pkey.
select xid, dataset_id, event_id, batch_id, timestamp, ingested_at, is_redacted, document
  from gateway.event
 where sandbox_id = $1 and xid = any($2::uuid[]) and (xid, dataset_id, event_id) > ($3, $4, $5)
 order by xid, dataset_id, event_id
 limit $6;

-- name: list_resends(sandbox_id, xids, after_xid, after_dataset_id, after_event_id, after_batch_id, after_origin, size) -> rows
-- List resends that lie under these identities, or have one of them as their own: then they lie under another that a document names with it. Without
-- a document, it is that of the event. Walks tie_pkey and event_resend_pkey.
select xid, dataset_id, event_id, batch_id, origin, timestamp, ingested_at, named_xids, is_redacted, document
  from gateway.event_resend
 where sandbox_id = $1 and xid = any(array({tied})) and (xid = any($2::uuid[]) or origin = any($2::uuid[]))
   and (xid, dataset_id, event_id, batch_id, origin) > ($3, $4, $5, $6, $7)
 order by xid, dataset_id, event_id, batch_id, origin
 limit $8;

-- name: list_changes(sandbox_id, xids, after_seq, after_place, size) -> rows
-- List what the journal says of these identities, and of no others that it names with them. `is true` keeps other indexes out. Walks change_xids_idx.
select seq, place, kind, profile_id, at, paths,
       array(select m.xid from unnest(xids) as m (xid) where m.xid = any($2)) as xids,
       array(select m.xid from unnest(former_ids) as m (xid) where m.xid = any($2)) as former_ids
  from gateway.change
 where (sandbox_id = $1) is true and xids || former_ids && $2::uuid[] and (seq > $3 or seq = $3 and place > $4)
 order by seq, place
 limit $5;

-- name: list_errors(sandbox_id, xids, after_batch_id, after_ordinal, size) -> rows
-- List refused documents that name these identities. `is true` keeps other indexes out. Walks ingest_error_xids_idx and batch_pkey.
select e.batch_id, e.ordinal,
       (select b.dataset_id from gateway.batch as b where b.sandbox_id = $1 and b.batch_id = e.batch_id) as dataset_id,
       e.index, e.refused_at, e.codes, e.paths, e.messages, e.xids, e.document
  from gateway.ingest_error as e
 where (e.sandbox_id = $1) is true and e.xids && $2::uuid[] and (e.batch_id, e.ordinal) > ($3, $4)
 order by e.batch_id, e.ordinal
 limit $5;

-- name: list_warnings(sandbox_id, xids, after_warning_id, size) -> rows
-- List warnings whose sample is of a document that names these identities. Walks the sandbox_id of ingestion_warning_pkey.
select warning_id, code, message, dataset_id, batch_id, first_seen_at, last_seen_at, xids, sample
  from gateway.ingestion_warning
 where sandbox_id = $1 and xids && $2::uuid[] and warning_id > $3
 order by warning_id
 limit $4;

-- name: list_jobs(sandbox_id, xids, after_job_id, size) -> rows
-- List jobs that name these identities: those that erase them, and exports about them. Walks job_pkey.
select job_id, kind, status, created_at, created_by
  from gateway.job
 where sandbox_id = $1 and job_id > $3
   and (input::jsonb -> 'identities' ?| $2::uuid[]::text[] or input ->> 'subject' = any($2::uuid[]::text[]))
 order by job_id
 limit $4;

-- name: list_exports(sandbox_id, xids, after_job_id, size) -> rows
-- List exports that hold these identities. Walks export_identity_pkey, once for each export, and job_pkey.
with held as materialized (
  select job_id, xid
    from gateway.export_identity
   where sandbox_id = $1 and job_id = any({with_identities}) and xid = any($2::uuid[])
)
select h.job_id, h.xids, (j.cursor ->> 'snapshot_at')::timestamptz as snapshot_at, j.created_at, j.created_by
  from (select job_id, array_agg(xid order by xid) as xids from held group by job_id) as h
  left join gateway.job as j on j.sandbox_id = $1 and j.job_id = h.job_id
 where h.job_id > $3
 order by h.job_id
 limit $4;

-- name: list_export_files(sandbox_id, xids, after_job_id, after_path, size) -> rows
-- List files of exports that hold somebody under these identities and may be read. Walks export_file_pkey, and export_identity_pkey once for each file.
select f.job_id, f.path, f.folder, f.bytes, f.sha256
  from gateway.export_file as f
 where (f.job_id, f.path) > ($3, $4) and {holds}
 order by f.job_id, f.path
 limit $5;

-- name: list_spooled(sandbox_id, xids, after_job_id, after_profile_id, after_place, size) -> rows
-- List what exports have read of these people and are yet to write, without what those have that are about others and name them. Walks export_identity_pkey,
-- once for each export, and export_person_pkey.
select p.job_id, p.profile_id, p.place, p.document
  from (select distinct job_id, profile_id
          from gateway.export_identity
         where sandbox_id = $1 and job_id = any({with_identities}) and xid = any($2::uuid[]) and profile_id = any($2)) as x
  join gateway.export_person as p on p.sandbox_id = $1 and p.job_id = x.job_id and p.profile_id = x.profile_id
 where (p.job_id, p.profile_id, p.place) > ($3, $4, $5)
 order by p.job_id, p.profile_id, p.place
 limit $6;

-- name: list_edges(sandbox_id, xids, after_data_center, size) -> rows
-- List the data centres to whose edges projections of these people are delivered, if there are such, with the names of their configurations.
-- Walks delivery_pkey, configuration_delivery_pkey and identity_pkey.
select d.data_center, d.delivered_at,
       array(select c.name
               from gateway.configuration_delivery as o
               join gateway.projection_configuration as c on c.sandbox_id = $1 and c.configuration_id = o.configuration_id
              where o.sandbox_id = $1 and o.data_center = d.data_center
              order by c.name) as configurations
  from gateway.delivery as d
 where d.sandbox_id = $1 and d.data_center > $3
   and exists (select 1 from gateway.identity as i where i.sandbox_id = $1 and i.xid = any($2::uuid[]) and i.profile_id is not null)
 order by d.data_center
 limit $4;
