-- identities.read_identities
select xid, namespace_id, value, profile_id
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- identities.read_primaries
select i.xid
  from gateway.identity i
 where i.sandbox_id = $1 and i.xid = any($2::uuid[])
   and coalesce((select true from gateway.fragment f where f.sandbox_id = $1 and f.xid = i.xid and not f.is_deleted limit 1),
         (select true from gateway.event e where e.sandbox_id = $1 and e.xid = i.xid limit 1), false);

-- identities.read_sightings
select i.xid,
       coalesce(least(r.first_at, e.first_at, t.first_at), least(r.ever_first_at, t.ever_first_at)) as first_at,
       coalesce(greatest(r.last_at, e.last_at, t.last_at), greatest(r.ever_last_at, t.ever_last_at)) as last_at
  from gateway.identity i
 cross join lateral (
         select min(v.first_at) filter (where not v.is_deleted) as first_at, max(v.last_at) filter (where not v.is_deleted) as last_at,
                min(v.first_at) as ever_first_at, max(v.last_at) as ever_last_at
           from (select least(r.observed_at, r.ingested_at, r.first_at) as first_at,
                        greatest(least(r.observed_at, r.ingested_at), r.last_at) as last_at,
                        bool_or(r.mode = 'DELETE') over (
                          partition by r.dataset_id order by r.ingested_at desc, r.batch_id desc, r.ordinal desc) as is_deleted
                   from gateway.record r
                  where r.sandbox_id = $1 and r.xid = i.xid) v) r
 cross join lateral (
         select min(e.timestamp) as first_at, max(e.timestamp) as last_at
           from gateway.event e
          where e.sandbox_id = $1 and e.xid = i.xid) e
 cross join lateral (
         select min(t.first_at) filter (where not t.is_retracted) as first_at, max(t.last_at) filter (where not t.is_retracted) as last_at,
                min(t.first_at) as ever_first_at, max(t.last_at) as ever_last_at
           from gateway.tie t
          where t.sandbox_id = $1 and t.xid = i.xid) t
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]);

-- people.read_people
select true, person.xid, person.namespace_id, person.value, person.profile_id
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
  
  
 order by asked.place;
