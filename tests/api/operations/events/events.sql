-- events.count_events
select e.xid, count(*)
  from gateway.event e
 where e.sandbox_id = $1 and e.xid = any($2::uuid[])  and e.timestamp >= $3 and e.event_type = any($4::text[])
 group by e.xid;

-- events.list_events
select person.place, found.*
  from unnest($3::integer[], $4::integer[]) with ordinality slice (start, stop, place)
 cross join lateral (select slice.place, $1::bigint as sandbox_id, ($2::uuid[])[slice.start:slice.stop] as xids) person
 cross join lateral (select e.xid, e.dataset_id, e.event_id, e.batch_id, e.timestamp, e.event_type, e.ingested_at, '' as text, coalesce((select '{"value":' || coalesce(to_json(i.value)::text, 'null') || '}' from gateway.identity i
 where i.sandbox_id = $1 and i.xid = e.xid), 'null') as part_0, coalesce((select '{"name":' || coalesce(to_json(d.name)::text, 'null') || '}' from gateway.dataset d
 where d.sandbox_id = $1 and d.dataset_id = e.dataset_id), 'null') as part_1, coalesce((select '{"status":' || coalesce(to_json(b.status)::text, 'null') || '}' from gateway.batch b
 where b.sandbox_id = $1 and b.batch_id = e.batch_id), 'null') as part_2, ('{' || concat_ws(',', '"commerce":' || coalesce(case when jsonb_typeof(unpacked.document -> 'commerce') = 'object' then ('{' || concat_ws(',', '"order":' || coalesce((unpacked.document -> 'commerce' -> 'order')::text, null)) || '}') end, null)) || '}') as part_3, '{"productListItems":' || coalesce(case when jsonb_typeof(unpacked.document -> 'productListItems') = 'array' then (select '[' || coalesce(string_agg(coalesce('{"SKU":' || coalesce((item.value -> 'SKU')::text, case when jsonb_typeof(item.value) = 'object' then 'null' end) || ',"quantity":' || coalesce((item.value -> 'quantity')::text, 'null') || '}', 'null'), ',' order by item.place), '') || ']' from jsonb_array_elements(unpacked.document -> 'productListItems') with ordinality item (value, place)) end, 'null') || '}' as part_4 from (select e.*
          from unnest(person.xids) member (xid)
         cross join lateral (
                 select e.timestamp, e.event_id, e.xid, e.dataset_id, e.batch_id, e.event_type, e.ingested_at, e.document
                   from gateway.event e
                  where e.sandbox_id = $1 and e.xid = member.xid  and e.timestamp >= $6 and e.event_type = any($7::text[])
                  order by e.timestamp desc, e.event_id desc fetch first ($5) rows with ties) e
         order by e.timestamp desc, e.event_id desc, e.xid desc, e.dataset_id desc
         limit $5) e
 cross join lateral (select e.document || '{}' as document offset 0) unpacked) found;

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
