-- people.read_people
select exists (select from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3), person.xid, person.namespace_id, person.value, person.profile_id, case when person.is_found then '{"profileId":' || coalesce('"' || person.profile_id || '"', 'null') || ',"sources":' || (select '[' || coalesce(string_agg('{"name":' || coalesce(to_json(d.name)::text, 'null') || '}', ',' order by d.name collate "C"), '') || ']' from gateway.dataset d
 where d.sandbox_id = $1
   and d.dataset_id = any(coalesce(p.sources, (select array_agg(e.dataset_id) from gateway.event e where e.sandbox_id = $1 and e.xid = any(g.event_xids))))) || ',"entity":{"person":' || coalesce('{"name":' || coalesce('{"firstName":' || coalesce((kept.document -> 'person' -> 'name' -> 'firstName')::text, case when jsonb_typeof(kept.document -> 'person' -> 'name') = 'object' then 'null' end) || '}', case when jsonb_typeof(kept.document -> 'person') = 'object' then 'null' end) || '}', 'null') || '},"events":' || (select '{"totalCount":' || (select count(*)::text from gateway.event e
 where e.sandbox_id = $1 and e.xid = any(g.event_xids) ) || ',"nodes":' || '[' || coalesce(array_to_string((array_agg(('{"eventId":' || coalesce(to_json(e.event_id)::text, 'null') || ',"identity":' || coalesce((select '{"value":' || coalesce(to_json(i.value)::text, 'null') || '}' from gateway.identity i
 where i.sandbox_id = $1 and i.xid = e.xid), 'null') || ',"dataset":' || coalesce((select '{"name":' || coalesce(to_json(d.name)::text, 'null') || '}' from gateway.dataset d
 where d.sandbox_id = $1 and d.dataset_id = e.dataset_id), 'null') || '}')::text))[1:count(*)], ','), '') || ']' || '}' from (select e.*
          from unnest(g.event_xids) member (xid)
         cross join lateral (
                 select e.timestamp, e.event_id, e.xid, e.dataset_id
                   from gateway.event e
                  where e.sandbox_id = $1 and e.xid = member.xid 
                  order by e.timestamp asc, e.event_id asc fetch first ($5) rows with ties) e
         order by e.timestamp asc, e.event_id asc, e.xid asc, e.dataset_id asc
         limit $5) e
 ) || '}' end
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
