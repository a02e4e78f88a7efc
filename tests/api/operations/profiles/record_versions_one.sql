-- identities.read_identities
select xid, namespace_id, value, profile_id
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- people.read_people
select true, person.xid, person.namespace_id, person.value, person.profile_id, g.xids, g.event_xids, g.identity_map, g.size, g.is_contested
  from unnest($4::uuid[]) with ordinality asked (xid, place)
  left join lateral (
         select namespace_id, value, profile_id
           from gateway.identity
          where sandbox_id = $1 and xid = asked.xid
          limit 1) i on true
 cross join lateral (
         select asked.xid, i.namespace_id, i.value, i.profile_id, $2::uuid as policy_id, $3::integer as version, i.profile_id is not null as is_found,
                case when i.profile_id is not null then 'FOUND'
                     when i.namespace_id is not null and i.value is null then 'ERASED'
                     else 'NOT_FOUND' end as status) person
  left join lateral (
         select xids, event_xids, identity_map, size, is_contested
           from gateway.graph
          where sandbox_id = $1 and profile_id = person.profile_id
          limit 1) g on true
  
 order by asked.place;

-- record_versions.list_record_versions
select person, xid, dataset_id, batch_id, ordinal, mode, ingested_at, is_live
  from (select v.*, row_number() over (partition by person order by ingested_at asc, batch_id asc, ordinal asc) as place
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
