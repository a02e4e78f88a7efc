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

-- people.list_primaries
select i.xid, i.namespace_id, i.value, i.profile_id
  from gateway.identity i
 where i.sandbox_id = $1 and i.xid > $2 and i.xid < $3
   and coalesce((select true from gateway.fragment f where f.sandbox_id = $1 and f.xid = i.xid and not f.is_deleted limit 1),
         (select true from gateway.event e where e.sandbox_id = $1 and e.xid = i.xid limit 1), false)
 order by i.xid asc
 limit $4;

-- people.read_people
select exists (select from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3), person.xid, person.namespace_id, person.value, person.profile_id, g.xids, g.event_xids, g.identity_map, g.size, g.is_contested, p.document, p.sources, p.modified_at
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
  left join lateral (
         select document || '{}' as document, sources, modified_at
           from gateway.profile
          where sandbox_id = $1 and profile_id = person.profile_id
            and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3)
          limit 1) p on true
 cross join lateral (select coalesce(p.document, '{}') as document, case when p.document is not null then '' end as unread_document) kept
 order by asked.place;
