-- What documents of others say of erased identities, found by the ties that these documents made.

-- name: list_ties(sandbox_id, xids, at, after_xid, after_tie_id, after_batch_id, size) -> rows
-- List the ties that name these identities, after one of them, as far as others made them of what happened up to a time. Walks tie_pkey.
select xid, tie_id, batch_id, dataset_id, origin, xids, first_at, last_at
  from gateway.tie
 where sandbox_id = $1 and xid = any($2::uuid[]) and origin <> all($2::uuid[]) and first_at <= $3
   and (xid, tie_id, batch_id) > ($4, $5, $6)
 order by xid, tie_id, batch_id
 limit $7;

-- name: read_versions(sandbox_id, xids, dataset_ids, at, before_xid, before_dataset_id, before_ordinal, size, bytes) -> rows
-- Read versions of these records up to a time and before one of them, the last ones first: so many, and no more once they take so many bytes where
-- they are stored. Walks record_pkey once for each record, from the version on where the piece before ended.
select xid, dataset_id, ordinal, input, as_sent
  from (select v.*, sum(stored) over (order by xid desc, dataset_id desc, ordinal desc) - stored as before
          from ({versions}
                 limit $8) as v) as v
 where before < $9
 order by xid desc, dataset_id desc, ordinal desc;

-- part: by_record
-- Versions, record by record.
select v.*
  from (select xid, dataset_id, case when (xid, dataset_id) = ($5, $6) then $7 else 9223372036854775807 end as before
          from unnest($2::uuid[], $3::uuid[]) as asked (xid, dataset_id)
         where (xid, dataset_id) <= ($5, $6)
         order by xid desc, dataset_id desc) as asked
 cross join lateral (
       select r.xid, r.dataset_id, r.ordinal, r.input, r.as_sent, pg_column_size(r.input) as stored
         from gateway.record as r
        where r.sandbox_id = $1 and r.xid = asked.xid and r.dataset_id = asked.dataset_id and r.ordinal < asked.before
          and r.ingested_at <= $4
        order by r.ordinal desc
        limit $8) as v

-- part: of_cluster
-- Versions of all of the records, on Citus: no LATERAL is driven from values.
select r.xid, r.dataset_id, r.ordinal, r.input, r.as_sent, pg_column_size(r.input) as stored
  from unnest($2::uuid[], $3::uuid[]) as asked (xid, dataset_id)
  join gateway.record as r on r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.xid = asked.xid and r.dataset_id = asked.dataset_id
 where (r.xid, r.dataset_id, r.ordinal) < ($5, $6, $7) and r.ingested_at <= $4
 order by r.xid desc, r.dataset_id desc, r.ordinal desc

-- name: read_events(sandbox_id, xids, dataset_ids, first_ats, after_ids, last_ats, at, size) -> rows
-- Read so many of the events of spans of time, in their order and that of the spans; those that came in up to a time. A span begins after the event
-- with its first time and an `_id`. Walks event_timeline_idx once for each span.
select e.*, asked.span
  from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::timestamptz[])
       with ordinality as asked (xid, dataset_id, first_at, after_id, last_at, span)
 cross join lateral (
       select e.xid, e.dataset_id, e.event_id, e.timestamp, e.document
         from gateway.event as e
        where e.sandbox_id = $1 and e.xid = asked.xid and (e.timestamp, e.event_id) > (asked.first_at, asked.after_id) and e.timestamp <= asked.last_at
          and e.dataset_id = asked.dataset_id and e.ingested_at <= $7
        order by e.timestamp, e.event_id
        limit $8) as e
 order by asked.span, e.timestamp, e.event_id
 limit $8;

-- name: read_events_of_cluster(sandbox_id, xids, dataset_ids, first_ats, after_ids, last_ats, at, size) -> rows
-- As `read_events`, on Citus: no LATERAL is driven from values, and the nodes that are asked are told by the keys. Walks event_timeline_idx.
select e.xid, e.dataset_id, e.event_id, e.timestamp, e.document, asked.span
  from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::timestamptz[])
       with ordinality as asked (xid, dataset_id, first_at, after_id, last_at, span)
  join gateway.event as e
    on e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.xid = asked.xid and e.dataset_id = asked.dataset_id
   and (e.timestamp, e.event_id) > (asked.first_at, asked.after_id) and e.timestamp <= asked.last_at and e.ingested_at <= $7
 order by asked.span, e.timestamp, e.event_id
 limit $8;

-- name: read_resends(sandbox_id, members, xids, at, after_xid, after_dataset_id, after_event_id, after_batch_id, after_origin, size) -> rows
-- Read so many of the resends under these members of ties that name one of the identities, after one of them, up to a time. Walks event_resend_pkey.
select r.xid, r.dataset_id, r.event_id, r.batch_id, r.origin, r.named_xids, r.document
  from gateway.event_resend as r
 where r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.named_xids && $3::uuid[] and r.origin <> all($3::uuid[]) and r.ingested_at <= $4
   and (r.xid, r.dataset_id, r.event_id, r.batch_id, r.origin) > ($5, $6, $7, $8, $9)
 order by r.xid, r.dataset_id, r.event_id, r.batch_id, r.origin
 limit $10;

-- name: redact_versions(sandbox_id, xids, dataset_ids, ordinals | xid uuid, dataset_id uuid, ordinal bigint, input json, as_sent json) -> none
-- Writes versions of records without what they said of others. Walks record_pkey.
update gateway.record as r
   set input = v.input, as_sent = v.as_sent
  from (values {rows}) as v (xid, dataset_id, ordinal, input, as_sent)
 where r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.xid = v.xid and r.dataset_id = any($3::uuid[]) and r.dataset_id = v.dataset_id
   and r.ordinal = any($4::bigint[]) and r.ordinal = v.ordinal;

-- name: redact_events(sandbox_id, xids, dataset_ids, event_ids | xid uuid, dataset_id uuid, event_id text, event_type text, document jsonb) -> none
-- Writes events without what they said of others. Walks event_pkey: by the arrays it reads no other events of these identities.
update gateway.event as e
   set document = v.document, event_type = v.event_type, is_redacted = true
  from (values {rows}) as v (xid, dataset_id, event_id, event_type, document)
 where e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.xid = v.xid and e.dataset_id = any($3::uuid[]) and e.dataset_id = v.dataset_id
   and e.event_id = any($4::text[]) and e.event_id = v.event_id;

-- name: redact_resends(sandbox_id, xids, dataset_ids, event_ids | xid uuid, dataset_id uuid, event_id text, batch_id uuid, origin uuid, named_xids uuid[], document jsonb) -> none
-- Writes resends without what they said of others. Walks event_resend_pkey.
update gateway.event_resend as r
   set named_xids = v.named_xids, document = v.document, is_redacted = true
  from (values {rows}) as v (xid, dataset_id, event_id, batch_id, origin, named_xids, document)
 where r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.xid = v.xid and r.dataset_id = any($3::uuid[]) and r.dataset_id = v.dataset_id
   and r.event_id = any($4::text[]) and r.event_id = v.event_id and r.batch_id = v.batch_id and r.origin = v.origin;

-- name: take_out_of_ties(sandbox_id, erased, at, xids, tie_ids, batch_ids) -> rows
-- Takes the erased identities out of those of these ties that nothing has said since a time; a tie that then names one identity goes. Returns the
-- members that such ties had, and at the origin whether the tie is gone. Walks tie_pkey.
with found as materialized (
  select distinct t.tie_id, t.batch_id, t.xids
    from unnest($4::uuid[], $5::uuid[], $6::uuid[]) as asked (xid, tie_id, batch_id)
    join gateway.tie as t
      on t.sandbox_id = $1 and t.xid = any($4::uuid[]) and t.xid = asked.xid and t.tie_id = asked.tie_id and t.batch_id = asked.batch_id
   where t.ingested_at <= $3
), taken as (
  delete from gateway.tie as t
   using (select array_agg(m.xid) as xids, array_agg(f.tie_id) as tie_ids, array_agg(f.batch_id) as batch_ids
            from found as f
           cross join unnest(f.xids) as m (xid)) as o
   cross join unnest(o.xids, o.tie_ids, o.batch_ids) as m (xid, tie_id, batch_id)
   where t.sandbox_id = $1 and t.xid = any(o.xids) and t.xid = m.xid and t.tie_id = m.tie_id and t.batch_id is not distinct from m.batch_id
  returning t.xid, t.tie_id, t.batch_id, t.dataset_id, t.origin, t.ingested_at, t.ordinal, t.first_at, t.last_at, t.is_retracted,
            array(select m.xid from unnest(t.xids) with ordinality as m (xid, place) where m.xid <> all($2::uuid[]) order by m.place) as rest
), kept as (
  insert into gateway.tie (sandbox_id, xid, tie_id, batch_id, dataset_id, origin, ingested_at, ordinal, xids, first_at, last_at, is_retracted)
  select $1::bigint, xid, encode(substring(sha256(convert_to(tie_id::text || rest::text, 'UTF8')) for 16), 'hex')::uuid, batch_id, dataset_id, origin, ingested_at, ordinal,
         rest, first_at, last_at, is_retracted
    from taken
   where xid = any(rest) and cardinality(rest) > 1
)
select xid, xid = origin and cardinality(rest) < 2 as is_gone from taken;
