-- Versions of records, as they were sent. A page is found by the narrow columns; what was sent is read for those versions that show it.

-- name: list_record_versions(sandbox_id, xids, people, after_at, after_batch_id, after_ordinal, before_at, before_batch_id, before_ordinal, size) -> rows
-- List the nearest versions of each person's records between two places, in the direction in which the list is read. Identities and the numbers
-- of the people that they belong to stand in two arrays. A version is live unless a newer one of its record replaces or deletes. Walks
-- record_pkey.
select person, xid, dataset_id, batch_id, ordinal, mode, ingested_at, is_live
  from (select v.*, row_number() over (partition by person order by ingested_at {direction}, batch_id {direction}, ordinal {direction}) as place
          from (select asked.person, r.xid, r.dataset_id, r.batch_id, r.ordinal, r.mode, r.ingested_at,
                       not coalesce(bool_or(r.mode <> 'MERGE') over newer, false) as is_live
                  from unnest($2::uuid[], $3::integer[]) as asked (xid, person)
                  join gateway.record r
                    on r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.xid = asked.xid
                window newer as (partition by asked.person, r.xid, r.dataset_id order by r.ingested_at desc, r.batch_id desc, r.ordinal desc
                                 rows between unbounded preceding and 1 preceding)) v
         where (ingested_at, batch_id, ordinal)
               < (coalesce($4::timestamptz, 'infinity'), coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'), coalesce($6::bigint, 9223372036854775807))
           and (ingested_at, batch_id, ordinal)
               > (coalesce($7::timestamptz, '-infinity'), coalesce($8::uuid, '00000000-0000-0000-0000-000000000000'), coalesce($9::bigint, -1))) v
 where place <= $10
 order by person, place;

-- name: count_record_versions(sandbox_id, xids) -> rows
-- Count the versions of each identity's records, for identities with at least one. Walks record_pkey.
select xid, count(*)
  from gateway.record
 where sandbox_id = $1 and xid = any($2::uuid[])
 group by xid;

-- name: read_inputs(sandbox_id, xids, dataset_ids, ordinals) -> rows
-- Read what was sent with the versions that exist of these, normalized; and the leaves that were sent in another form. Walks record_pkey.
select r.xid, r.dataset_id, r.ordinal, r.input, r.as_sent
  from unnest($2::uuid[], $3::uuid[], $4::bigint[]) as asked (xid, dataset_id, ordinal)
  join gateway.record r
    on r.sandbox_id = $1 and r.xid = any($2::uuid[]) and r.xid = asked.xid and r.dataset_id = asked.dataset_id and r.ordinal = asked.ordinal;
