-- events.read_lists
select (select '{"nodes":' || '[' || coalesce(array_to_string((array_agg(('{"eventId":' || coalesce(to_json(e.event_id)::text, 'null') || '}')::text))[1:count(*)], ','), '') || ']' || '}' from (select e.*
          from unnest(person.xids) member (xid)
         cross join lateral (
                 select e.timestamp, e.event_id, e.xid, e.dataset_id
                   from gateway.event e
                  where e.sandbox_id = $1 and e.xid = member.xid  and jsonb_path_exists(e.document, $6::text::jsonpath, $7::jsonb)
                  order by e.timestamp asc, e.event_id asc fetch first ($5) rows with ties) e
         order by e.timestamp asc, e.event_id asc, e.xid asc, e.dataset_id asc
         limit $5) e
 )
  from unnest($3::integer[], $4::integer[]) with ordinality slice (start, stop, place)
 cross join lateral (select slice.place, $1::bigint as sandbox_id, ($2::uuid[])[slice.start:slice.stop] as xids) person
 order by person.place;

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
