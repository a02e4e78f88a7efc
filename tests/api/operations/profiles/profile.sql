-- identities.read_identities
select xid, namespace_id, value, profile_id
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- people.read_people
select exists (select from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3), person.xid, person.namespace_id, person.value, person.profile_id, g.xids, g.event_xids, g.identity_map, g.size, g.is_contested, coalesce(to_char(coalesce(p.modified_at, (select max(e.ingested_at) from gateway.event e where e.sandbox_id = $1 and e.xid = any(g.event_xids)),
         (select max(f.ingested_at) from gateway.fragment f where f.sandbox_id = $1 and f.xid = any(g.xids) and not f.is_deleted)) at time zone 'UTC', '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z\""'), 'null'), (select '[' || coalesce(string_agg('{"name":' || coalesce(to_json(d.name)::text, 'null') || '}', ',' order by d.name collate "C"), '') || ']' from gateway.dataset d
 where d.sandbox_id = $1
   and d.dataset_id = any(coalesce(p.sources, (select array_agg(e.dataset_id) from gateway.event e where e.sandbox_id = $1 and e.xid = any(g.event_xids))))), (select '[' || coalesce(string_agg('{"value":' || coalesce(to_json(i.value)::text, 'null') || ',"isPrimary":' || coalesce(coalesce((select true from gateway.fragment f where f.sandbox_id = $1 and f.xid = i.xid and not f.is_deleted limit 1),
         (select true from gateway.event e where e.sandbox_id = $1 and e.xid = i.xid limit 1), false)::text, 'null') || ',"firstSeenAt":' || coalesce(to_char((select coalesce(least(r.first_at, e.first_at, t.first_at), least(r.ever_first_at, t.ever_first_at)) from (values (1)) one cross join lateral (
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
          where t.sandbox_id = $1 and t.xid = i.xid) t) at time zone 'UTC', '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z\""'), 'null') || ',"lastSeenAt":' || coalesce(to_char((select coalesce(greatest(r.last_at, e.last_at, t.last_at), greatest(r.ever_last_at, t.ever_last_at)) from (values (1)) one cross join lateral (
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
          where t.sandbox_id = $1 and t.xid = i.xid) t) at time zone 'UTC', '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z\""'), 'null') || ',"namespace":' || coalesce((select '{"code":' || coalesce(to_json(n.code)::text, 'null') || ',"idType":' || coalesce(to_json(n.id_type)::text, 'null') || '}' from gateway.namespace n
 where n.sandbox_id = $1 and n.namespace_id = i.namespace_id), 'null') || '}', ',' order by member.place), '') || ']' from unnest(g.xids) with ordinality member (xid, place)
  join lateral (
         select xid, namespace_id, value
           from gateway.identity
          where sandbox_id = $1 and xid = member.xid
          limit 1) i on true), '{"person":' || coalesce('{"name":' || coalesce('{"firstName":' || coalesce((kept.document -> 'person' -> 'name' -> 'firstName')::text, case when jsonb_typeof(kept.document -> 'person' -> 'name') = 'object' then 'null' end) || '}', case when jsonb_typeof(kept.document -> 'person') = 'object' then 'null' end) || '}', 'null') || ',"homeAddress":' || coalesce('{"city":' || coalesce((kept.document -> 'homeAddress' -> 'city')::text, case when jsonb_typeof(kept.document -> 'homeAddress') = 'object' then 'null' end) || '}', 'null') || ',"identityMap":' || coalesce((g.identity_map)::text, 'null') || '}', ('{' || concat_ws(',', '"person":' || coalesce((kept.document -> 'person')::text, null), '"homeAddress":' || coalesce(case when jsonb_typeof(kept.document -> 'homeAddress') = 'object' then ('{' || concat_ws(',', '"city":' || coalesce((kept.document -> 'homeAddress' -> 'city')::text, null)) || '}') end, null)) || '}'), '{"identityCount":' || coalesce(g.size::text, 'null') || ',"eventCount":' || coalesce(size.event_count::text, 'null') || ',"exceeded":' || coalesce(size.exceeded::text, 'null') || '}'
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
 cross join lateral (select coalesce(p.document, '{}') as document, case when p.document is not null then '' end as unread_document) kept cross join lateral (
         select event_count, array_to_json(array_remove(array[case when g.size > 50 then 'IDENTITIES' end,
                                                              case when event_count > 5000 then 'EVENTS' end,
                                                              case when octet_length(p.document::text) > 50000000 then 'DOCUMENT_SIZE' end], null)) as exceeded
           from (select count(*) as event_count from gateway.event e where e.sandbox_id = $1 and e.xid = any(g.event_xids)) e) size
 order by asked.place;
