-- People who are erased: the facts under their identities as a selection that is removed, and what other people's documents say of them. Facts
-- that came in after an identity was erased stay: they are of somebody who uses a device again.

-- name: read_given(sandbox_id, xids) -> rows
-- Read the stored ones of these identities, erased ones included, and the persons that they belong to. Walks identity_pkey.
select xid, namespace_id, profile_id
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- name: find_open_job(sandbox_id, xids, members, is_whole) -> value
-- The open job that erases one of these identities, or one of these members of their people where it or the asked one erases whole people. Walks
-- job_open_key.
select job_id
  from gateway.job
 where sandbox_id = $1 and kind = 'DELETE_PROFILE' and status in ('NEW', 'PROCESSING') and input ->> 'is_dry_run' = 'false'
   and (input::jsonb -> 'identities' ?| $2::text[]
        or input::jsonb -> 'identities' ?| $3::text[] and ($4 or input ->> 'scope' = 'GRAPH'))
 limit 1;

-- name: forget_identities(sandbox_id, job_id) -> none
-- Forgets whom a job was to erase. Walks job_pkey.
update gateway.job
   set input = (input::jsonb - 'identities')::json
 where sandbox_id = $1 and job_id = $2;

-- name: read_unfinished(sandbox_id, xids) -> rows
-- The identities that jobs which were cancelled or failed have marked together with one of these, as of one person. Walks identity_pkey and
-- identity_erased_idx.
with asked as materialized (
  select i.erased_at, i.erased_by, i.erased_with
    from gateway.identity as i
   where i.sandbox_id = $1 and i.xid = any($2::uuid[])
), unfinished as materialized (
  select a.*
    from asked as a
   where (select (j.status in ('CANCELLED', 'FAILED')) is true from gateway.job as j where j.sandbox_id = $1 and j.job_id = a.erased_by)
)
select i.xid, i.erased_with, i.erased_at, i.erased_by as job_id
  from unfinished as a
  join gateway.identity as i
    on i.sandbox_id = $1 and i.erased_at = a.erased_at and i.erased_by = a.erased_by and i.erased_with = a.erased_with;

-- name: mark_erased(sandbox_id, job_id, at, unfinished | xid uuid, namespace_id integer, erased_with uuid, marked_at timestamptz) -> none
-- Says that a job erased these identities at this time, or when they were marked before; from then on they refuse documents. Those of which nothing
-- but this is left stay as they are, but for those that one of the unfinished jobs marked. Walks identity_pkey.
with given as materialized (
  select v.xid, v.namespace_id, v.erased_with, coalesce(v.marked_at, $3::timestamptz) as erased_at
    from (values {rows}) as v (xid, namespace_id, erased_with, marked_at)
), known as (
  update gateway.identity as i
     set erased_by = $2::uuid, erased_at = g.erased_at, erased_with = g.erased_with, refused_count = null
    from given as g
   where i.sandbox_id = $1 and i.xid = g.xid and (i.value is not null or i.erased_by = any($4::uuid[]))
)
insert into gateway.identity (sandbox_id, erased_by, erased_at, xid, namespace_id, erased_with)
select $1::bigint, $2::uuid, g.erased_at, g.xid, g.namespace_id, g.erased_with
  from given as g
on conflict (sandbox_id, xid) do nothing;

-- name: list_marked(sandbox_id, job_id, at, xid, size) -> rows
-- List the identities that a job erased, after one of them. Walks identity_erased_idx.
select xid, erased_at
  from gateway.identity
 where sandbox_id = $1 and erased_at is not null and erased_by = $2 and (erased_at, xid) > ($3, $4)
 order by erased_at, xid
 limit $5;

-- name: count_refused(sandbox_id | xid uuid, count bigint) -> none
-- Adds to the numbers of documents that erased identities have refused. Walks identity_pkey.
update gateway.identity as i
   set refused_count = coalesce(i.refused_count, 0) + v.count
  from (values {rows}) as v (xid, count)
 where i.sandbox_id = $1 and i.xid = v.xid;

-- part: tied
-- These identities, and those that documents of theirs name: resends of theirs lie under either. Walks tie_pkey.
select m.xid
  from gateway.tie as t
 cross join unnest(t.xids) as m (xid)
 where t.sandbox_id = $1 and t.xid = any($2::uuid[]) and t.origin = t.xid
 union
select unnest($2::uuid[])

-- name: count_facts(sandbox_id, xids, at) -> row
-- The numbers of record versions, events and resends, and ties under these identities up to a time, with the resends of theirs that lie under
-- others. A tie has a row for each of its members, its origin among them. Walks record_pkey, event_timeline_idx, tie_pkey and event_resend_pkey.
with tied as materialized (
  {tied}
)
select (select count(*) from gateway.record where sandbox_id = $1 and xid = any($2::uuid[]) and ingested_at <= $3::timestamptz) as record_versions,
       (select count(*) from gateway.event where sandbox_id = $1 and xid = any($2::uuid[]) and ingested_at <= $3::timestamptz)
         + (select count(*)
              from gateway.event_resend
             where sandbox_id = $1 and xid = any(array(select xid from tied)) and origin = any($2::uuid[]) and ingested_at <= $3::timestamptz) as events,
       (select count(*)
          from gateway.tie
         where sandbox_id = $1 and xid = any($2::uuid[]) and origin = xid and ingested_at <= $3::timestamptz) as ties;

-- name: count_related(sandbox_id, xids) -> row
-- What would go with the facts under these identities: ties of others that would then name one identity, these identities, unless that was
-- erased before, with others that nothing would name any more, and refused documents that name one. Walks tie_pkey, identity_pkey, record_pkey,
-- event_timeline_idx, event_resend_pkey and ingest_error_xids_idx.
with naming as materialized (
  select distinct t.tie_id, t.batch_id, t.origin, array(select m.xid from unnest(t.xids) as m (xid) where m.xid <> all($2::uuid[])) as rest
    from gateway.tie as t
   where t.sandbox_id = $1 and t.xid = any($2::uuid[])
), going as materialized (
  select origin, rest from naming where origin = any($2::uuid[]) or cardinality(rest) < 2
), named as materialized (
  select distinct m.xid from going as g cross join unnest(g.rest) as m (xid)
), successors as materialized (
  select r.origin from gateway.event_resend as r where r.sandbox_id = $1 and r.xid = any($2::uuid[])
), unnamed as materialized (
  select i.xid
    from gateway.identity as i
   where i.sandbox_id = $1 and i.xid = any(array(select xid from named)) and i.xid <> all(array(select origin from successors))
     and coalesce((select true from gateway.record as r where r.sandbox_id = $1 and r.xid = i.xid and (r.mode <> 'DELETE' or r.first_at is not null) limit 1),
                  (select true from gateway.event as e where e.sandbox_id = $1 and e.xid = i.xid limit 1),
                  (select true
                     from gateway.tie as t
                    where t.sandbox_id = $1 and t.xid = i.xid and t.origin <> all($2::uuid[])
                      and (select count(*) from unnest(t.xids) as m (xid) where m.xid <> all($2::uuid[])) > 1
                    limit 1)) is null
)
select (select count(*) from going where origin <> all($2::uuid[])) as ties,
       (select count(*) from unnamed)
         + (select count(*) from gateway.identity where sandbox_id = $1 and xid = any($2::uuid[]) and value is not null) as identities,
       (select count(*) from gateway.ingest_error where sandbox_id = $1 and xids && $2::uuid[]) as errors;

-- name: list_successors(sandbox_id, xids) -> rows
-- List the primary identities of the resends of events under these identities: with these, the events would be theirs. Walks event_resend_pkey.
select distinct origin as xid from gateway.event_resend where sandbox_id = $1 and xid = any($2::uuid[]) and origin <> all($2::uuid[]);

-- name: remove_resends(sandbox_id, xids, at, size) -> rows
-- Removes so many resends up to a time whose primary identity is one of these, under whichever identity they lie; no view tells of resends. Walks
-- tie_pkey and event_resend_pkey.
with tied as materialized (
  {tied}
)
delete from gateway.event_resend as r
 using (select r.xid, r.dataset_id, r.event_id, r.batch_id, r.origin
          from gateway.event_resend as r
         where r.sandbox_id = $1 and r.xid = any(array(select xid from tied)) and r.origin = any($2::uuid[]) and r.ingested_at <= $3
         limit $4) as o
 where r.sandbox_id = $1 and r.xid = any(array(select xid from tied)) and r.xid = o.xid and r.dataset_id = o.dataset_id
   and r.event_id = o.event_id and r.batch_id is not distinct from o.batch_id and r.origin = o.origin
returning r.xid;

-- name: find_identities_with_events(sandbox_id, xids, at, size) -> rows
-- List those of these identities that have events up to a time: those of so many of them. Walks event_timeline_idx.
select distinct xid
  from (select xid from gateway.event where sandbox_id = $1 and xid = any($2::uuid[]) and ingested_at <= $3 limit $4) as found
 order by xid;

-- name: remove_events_concurrently(sandbox_id, xids, at, given, size) -> rows
-- Removes, of so many events under the given identities up to a time, in the order of these, those that were not sent again, as long as the
-- identity of each keeps another event, or somebody in its person a fragment; events that a writer holds are passed over. Returns, for each
-- identity and batch, how many went, and the `_id`s that stay. Walks event_timeline_idx, event_resend_pkey, fragment_pkey, event_pkey,
-- identity_pkey and graph_pkey.
with slice as materialized (
  select e.*
    from unnest($4::uuid[]) as asked (xid)
   cross join lateral (
         select e.ctid, e.xid, e.dataset_id, e.event_id, e.batch_id
           from gateway.event as e
          where e.sandbox_id = $1 and e.xid = asked.xid and e.xid = any($2::uuid[]) and e.ingested_at <= $3
          limit $5
            for update skip locked) as e
   limit $5
), counted as materialized (
  {counted}
), held as materialized (
  select s.xid
    from (select distinct xid from slice) as s
    join gateway.identity as i on i.sandbox_id = $1 and i.xid = s.xid
    join gateway.graph as g on g.sandbox_id = $1 and g.profile_id = i.profile_id
   where (select true
            from unnest(g.xids) as m (xid)
           where (select true from gateway.fragment as f where f.sandbox_id = $1 and f.xid = m.xid and not f.is_deleted limit 1)
           limit 1)
), decided as materialized (
  select c.ctid, c.xid, c.dataset_id, c.event_id, c.batch_id,
         (select true
            from gateway.event_resend as r
           where r.sandbox_id = $1 and r.xid = c.xid and r.dataset_id = c.dataset_id and r.event_id = c.event_id
           limit 1) is null
         and (c.place > 1
              or c.xid in (select xid from held)
              or (select count(*)
                    from (select from gateway.event as e where e.sandbox_id = $1 and e.xid = c.xid limit c.among + 1) as seen) > c.among) as goes
    from counted as c
), gone as (
  {gone}
)
{told};

-- part: staying_tie
-- Whether a tie of a member stays: of another origin, or from after the time.
(select true
   from gateway.tie as t
  where t.sandbox_id = $1 and t.xid = m.xid and (t.origin <> all($3::uuid[]) or t.ingested_at > $4::timestamptz)
  limit 1)

-- name: find_events(sandbox_id, xids, at, size) -> rows
-- List so many of the events under these identities up to a time. Walks event_timeline_idx.
select dataset_id, xid, event_id, batch_id
  from gateway.event
 where sandbox_id = $1 and xid = any($2::uuid[]) and ingested_at <= $3
 limit $4;

-- name: find_records(sandbox_id, xids, at, size) -> rows
-- List those of these identities with record versions up to a time: those of so many of them. Walks record_pkey.
select distinct xid
  from (select xid from gateway.record where sandbox_id = $1 and xid = any($2::uuid[]) and ingested_at <= $3 limit $4) as found;

-- name: find_ties(sandbox_id, xids, at, size) -> rows
-- List those of these identities whose documents made ties up to a time: those of so many of them. Walks tie_pkey.
select distinct xid
  from (select xid from gateway.tie where sandbox_id = $1 and xid = any($2::uuid[]) and origin = xid and ingested_at <= $3 limit $4) as found;

-- name: remove_records(sandbox_id, xids, at, given, size) -> rows
-- Removes so many of the record versions of the given identities up to a time. Returns how many went from each record and batch. Walks record_pkey.
with going as materialized (
  select xid, dataset_id, ordinal
    from gateway.record
   where sandbox_id = $1 and xid = any($2::uuid[]) and xid = any($4::uuid[]) and ingested_at <= $3
   limit $5
), gone as (
  {gone_versions}
)
{told_versions};

-- name: remove_ties(sandbox_id, xids, at, given) -> rows
-- Removes the ties up to a time that documents of the given identities made. Returns their members, and which is the origin. Walks tie_pkey.
with own as materialized (
  select distinct t.tie_id, t.batch_id, m.xid
    from gateway.tie as t
   cross join unnest(t.xids) as m (xid)
   where t.sandbox_id = $1 and t.xid = any($2::uuid[]) and t.xid = any($4::uuid[]) and t.origin = t.xid and t.ingested_at <= $3
)
{gone_ties};

-- name: remove_unlinked_pairs(sandbox_id, xids, at) -> rows
-- Forgets that these identities were unlinked from others by hand up to a time. Returns one end of each row. Walks unlinked_pair_pkey.
delete from gateway.unlinked_pair
 where sandbox_id = $1
   and xid = any($2::uuid[] || array(select other_xid from gateway.unlinked_pair where sandbox_id = $1 and xid = any($2::uuid[])))
   and (xid = any($2::uuid[]) or other_xid = any($2::uuid[])) and created_at <= $3
returning xid;

-- part: named_in_changes
-- What the journal says of identities that a job erased, of the time before, in so many rows after one and in front of a call: each row with the
-- erased ones that it names, and whether it is about them alone. Rows of people who went stay. Walks change_pkey and identity_erased_idx.
erased as materialized (
  select xid, erased_at from gateway.identity where sandbox_id = $1 and erased_at is not null and erased_by = $2 and erased_at >= $3
), slice as materialized (
  select seq, place, kind, profile_id, xids, former_ids, at
    from gateway.change
   where sandbox_id = $1 and (seq, place) > ($5, $6) and seq < $4
   order by seq, place
   limit $7
), named as materialized (
  select s.seq, s.place, s.xids, s.former_ids, array_agg(e.xid) as erased,
         array_agg(e.xid) @> array[s.profile_id] or array_agg(e.xid) @> s.xids as goes
    from slice as s
   cross join unnest(s.xids || s.former_ids) as n (xid)
    join unnest(array(select xid from erased), array(select erased_at from erased)) as e (xid, at) on e.xid = n.xid and s.at <= e.at
   where s.kind <> 'DELETED'
   group by s.seq, s.place, s.profile_id, s.xids, s.former_ids
)

-- name: find_former_ids(sandbox_id, job_id, since, before, seq, place, size) -> value
-- Lists the former ids of people that the same rows name, and that the next statement takes out of them. Walks what that one does.
with {named}
select array_agg(distinct f.id)
  from named as n
 cross join unnest(n.former_ids) as f (id)
 where n.goes or f.id = any(n.erased);

-- name: forget_changes(sandbox_id, job_id, since, before, seq, place, size) -> row
-- Takes identities that a job erased out of rows of the journal; rows about them alone go. Returns the last row that was looked at; nulls at the
-- end. Walks change_pkey and identity_erased_idx.
with {named}, left_over as materialized (
  select seq, place, goes,
         array(select m.xid from unnest(n.xids) with ordinality as m (xid, number) where m.xid <> all(erased) order by m.number) as xids,
         array(select m.xid from unnest(n.former_ids) with ordinality as m (xid, number) where m.xid <> all(erased) order by m.number) as former_ids
    from named as n
), gone as (
  delete from gateway.change as c
   using left_over as l
   where c.sandbox_id = $1 and c.seq = l.seq and c.place = l.place and l.goes
), kept as (
  update gateway.change as c
     set xids = l.xids, former_ids = l.former_ids
    from left_over as l
   where c.sandbox_id = $1 and c.seq = l.seq and c.place = l.place and not l.goes
)
select (array_agg(seq order by seq desc, place desc))[1] as seq, (array_agg(place order by seq desc, place desc))[1] as place from slice;
