-- What is left of an identity that was erased.

-- name: find_traces(sandbox_id, xid, export_ids) -> row
-- When the identity was erased, and for each table that holds something of people whether something of the identity is in it from up to then;
-- of one that was not erased, whether anything is. An identity that is used again has its value, its graph and its profile from later on. The
-- journal's rows of people who went, refused documents of which only the keys are kept, and jobs that are yet to erase it are no traces. `is true`
-- keeps other indexes of the journal out, which would be read from end to end. Walks change_xids_idx, job_naming_idx, identity_pkey, graph_pkey, tie_pkey, unlinked_pair_pkey, record_pkey, fragment_pkey, profile_pkey, computed_partial_pkey, kept_value_pkey,
-- event_timeline_idx, event_resend_pkey, ingest_error_xids_idx and export_identity_pkey, once for each of these exports: those that hold identities.
with known as materialized (
  select value is not null as has_value, profile_id, erased_at from gateway.identity where sandbox_id = $1 and xid = $2
), found as materialized (
  select coalesce(k.has_value, false) as has_value, k.profile_id, k.erased_at, coalesce(k.erased_at, 'infinity') as until
    from (select 1) as one
    left join known as k on true
), kept as materialized (
  select a.identity_graph, a.attribute_id from gateway.kept_attribute as a where a.sandbox_id = $1
), policies as materialized (
  select m.policy_id from gateway.merge_policy as m where m.sandbox_id = $1
), facts as materialized (
  select coalesce((select true from gateway.record as r where r.sandbox_id = $1 and r.xid = $2 and r.ingested_at > (select until from found) limit 1),
                  (select true from gateway.event as e where e.sandbox_id = $1 and e.xid = $2 and e.ingested_at > (select until from found) limit 1),
                  (select true from gateway.tie as t where t.sandbox_id = $1 and t.xid = $2 and t.ingested_at > (select until from found) limit 1),
                  false) as is_used_again,
         exists (select 1 from gateway.tie as t where t.sandbox_id = $1 and t.xid = $2 and t.ingested_at <= (select until from found)) as tie,
         exists (select 1 from gateway.record as r where r.sandbox_id = $1 and r.xid = $2 and r.ingested_at <= (select until from found)) as record,
         exists (select 1 from gateway.fragment as o where o.sandbox_id = $1 and o.xid = $2 and o.ingested_at <= (select until from found)) as fragment,
         exists (select 1 from gateway.computed_partial as p where p.sandbox_id = $1 and p.xid = $2) as computed_partial,
         exists (select 1 from gateway.event as e where e.sandbox_id = $1 and e.xid = $2 and e.ingested_at <= (select until from found)) as event,
         exists (select 1 from gateway.event_resend as d where d.sandbox_id = $1 and d.xid = $2 and d.ingested_at <= (select until from found)) as event_resend
), people as materialized (
  select exists (select 1 from gateway.graph as g
                  where g.sandbox_id = $1 and g.profile_id = any(array[$2, (select profile_id from found)]) and $2 = any(g.xids)) as graph,
         exists (select 1 from gateway.profile as p
                  where p.sandbox_id = $1 and p.policy_id = any(array(select policy_id from policies))
                    and p.profile_id = any(array[$2, (select profile_id from found)])) as profile,
         exists (select 1 from kept as a
                   join gateway.kept_value as v on v.sandbox_id = $1 and v.identity_graph = a.identity_graph and v.attribute_id = a.attribute_id
                  where v.profile_id = any(array[$2, (select profile_id from found)])) as kept_value
)
select f.erased_at, facts.is_used_again,
       f.has_value and not facts.is_used_again as identity,
       not facts.is_used_again and people.graph as graph,
       facts.tie as tie,
       exists (select 1 from gateway.unlinked_pair as u where u.sandbox_id = $1 and u.xid = $2 and u.created_at <= f.until) as unlinked_pair,
       facts.record as record,
       facts.fragment as fragment,
       not facts.is_used_again and people.profile as profile,
       not facts.is_used_again and facts.computed_partial as computed_partial,
       not facts.is_used_again and people.kept_value as kept_value,
       facts.event as event,
       facts.event_resend as event_resend,
       coalesce((select bool_or(c.kind <> 'DELETED' and c.at <= f.until)
                   from gateway.change as c
                  where (c.sandbox_id = $1) is true and c.xids || c.former_ids && array[$2]), false) as change,
       exists (select 1 from gateway.ingest_error as n
                where n.sandbox_id = $1 and n.xids && array[$2::uuid] and n.document is not null and (n.refused_at <= f.until) is true) as ingest_error,
       exists (select 1 from gateway.ingestion_warning as w
                where w.sandbox_id = $1 and $2 = any(w.xids) and w.sample is not null) as ingestion_warning,
       exists (select 1 from gateway.job as j
                where j.sandbox_id = $1 and j.status not in ('NEW', 'PROCESSING') and j.input::jsonb ? 'identities'
                  and j.input::jsonb -> 'identities' ? $2::text) as job,
       exists (select from gateway.export_identity as x
                 left join gateway.job as j on j.sandbox_id = $1 and j.job_id = x.job_id
                where x.sandbox_id = $1 and x.job_id = any($3::uuid[]) and x.xid = $2 and coalesce((j.cursor ->> 'snapshot_at')::timestamptz, '-infinity') <= f.until) as export_identity,
       exists (select from gateway.export_identity as x
                 join gateway.export_person as p on p.sandbox_id = $1 and p.job_id = x.job_id and p.profile_id = x.profile_id
                 left join gateway.job as j on j.sandbox_id = $1 and j.job_id = x.job_id
                where x.sandbox_id = $1 and x.job_id = any($3::uuid[]) and x.xid = $2 and coalesce((j.cursor ->> 'snapshot_at')::timestamptz, '-infinity') <= f.until) as export_person,
       exists (select from gateway.export_identity as x
                 join gateway.export_file as e on e.sandbox_id = $1 and e.job_id = x.job_id and not e.is_withdrawn
                 left join gateway.job as j on j.sandbox_id = $1 and j.job_id = x.job_id
                where x.sandbox_id = $1 and x.job_id = any($3::uuid[]) and x.xid = $2 and coalesce((j.cursor ->> 'snapshot_at')::timestamptz, '-infinity') <= f.until) as export_file
  from found as f, facts, people;

-- name: list_unconfirmed(sandbox_id, xid) -> rows
-- List the data centres whose edges have yet to confirm that an erased identity is gone: all of them until its job has removed everything here.
-- Walks identity_pkey, job_pkey and delivery_pkey.
select d.data_center
  from gateway.identity i
  left join gateway.job j on j.sandbox_id = $1 and j.job_id = i.erased_by
  join gateway.delivery d on d.sandbox_id = $1
 where i.sandbox_id = $1 and i.xid = $2
   and (d.confirmed_at is null or d.confirmed_at < coalesce((j.cursor ->> 'done_at')::timestamptz, i.erased_at)
        or (j.status in ('NEW', 'PROCESSING') and j.cursor ->> 'done_at' is null))
 order by d.data_center;
