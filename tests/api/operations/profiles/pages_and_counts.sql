-- people.read_texts
select exists (select from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3) as is_current, string_agg(coalesce('{"status":' || coalesce(to_json(person.status)::text, 'null') || ',"profile":' || case when person.is_found then '{"profileId":' || coalesce('"' || person.profile_id || '"', 'null') || ',"newest":' || (select '{"nodes":' || '[' || coalesce(array_to_string((array_agg(('{"eventId":' || coalesce(to_json(e.event_id)::text, 'null') || ',"entity":{"eventType":' || coalesce((unpacked.document -> 'eventType')::text, 'null') || '}}')::text))[1:least($5 - 1, count(*))], ','), '') || ']' || ',"pageInfo":{"hasNextPage":' || case when count(*) = $5 then 'true' else 'false' end || ',"endCursor":' || coalesce('"' || replace(replace(replace(rtrim(encode('\x741004bd'::bytea || convert_to('[{"t":' || (extract(epoch from (array_agg(e.timestamp))[least($5 - 1, count(*))]) * 1000000)::bigint::text || '},' || to_json((array_agg(e.event_id))[least($5 - 1, count(*))])::text || ',{"u":"' || encode(uuid_send((array_agg(e.xid))[least($5 - 1, count(*))]), 'hex') || '"},{"u":"' || encode(uuid_send((array_agg(e.dataset_id))[least($5 - 1, count(*))]), 'hex') || '"}]', 'UTF8'), 'base64'), '='), E'\n', ''), '+', '-'), '/', '_') || '"', 'null') || '},"totalCount":' || (select count(*)::text from gateway.event e
 where e.sandbox_id = $1 and e.xid = any(g.event_xids) ) || '}' from (select e.*
          from unnest(g.event_xids) member (xid)
         cross join lateral (
                 select e.timestamp, e.event_id, e.xid, e.dataset_id, e.document
                   from gateway.event e
                  where e.sandbox_id = $1 and e.xid = member.xid 
                  order by e.timestamp desc, e.event_id desc fetch first ($5) rows with ties) e
         order by e.timestamp desc, e.event_id desc, e.xid desc, e.dataset_id desc
         limit $5) e
 cross join lateral (select e.document || '{}' as document offset 0) unpacked) || ',"entity":{"person":' || coalesce('{"name":' || coalesce('{"firstName":' || coalesce((kept.document -> 'person' -> 'name' -> 'firstName')::text, case when jsonb_typeof(kept.document -> 'person' -> 'name') = 'object' then 'null' end) || '}', case when jsonb_typeof(kept.document -> 'person') = 'object' then 'null' end) || '}', 'null') || ',"identityMap":' || coalesce((g.identity_map)::text, 'null') || '},"last":' || (select '{"edges":' || '[' || coalesce(array_to_string((array_agg(('{"cursor":"' || replace(replace(replace(rtrim(encode('\x758ee4e6'::bytea || convert_to('[{"t":' || (extract(epoch from e.timestamp) * 1000000)::bigint::text || '},' || to_json(e.event_id)::text || ',{"u":"' || encode(uuid_send(e.xid), 'hex') || '"},{"u":"' || encode(uuid_send(e.dataset_id), 'hex') || '"}]', 'UTF8'), 'base64'), '='), E'\n', ''), '+', '-'), '/', '_') || '","node":{"id":"event_' || replace(replace(replace(rtrim(encode(uuid_send(e.xid) || uuid_send(e.dataset_id) || convert_to(e.event_id, 'UTF8'), 'base64'), '='), E'\n', ''), '+', '-'), '/', '_') || '","timestamp":' || coalesce(to_char(e.timestamp at time zone 'UTC', '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z\""'), 'null') || '}}')::text order by e.timestamp asc, e.event_id asc, e.xid asc, e.dataset_id asc))[greatest(count(*) - $6 + 2, 1):count(*)], ','), '') || ']' || ',"pageInfo":{"hasPreviousPage":' || case when count(*) = $6 then 'true' else 'false' end || ',"startCursor":' || coalesce('"' || replace(replace(replace(rtrim(encode('\x758ee4e6'::bytea || convert_to('[{"t":' || (extract(epoch from (array_agg(e.timestamp order by e.timestamp asc, e.event_id asc, e.xid asc, e.dataset_id asc))[greatest(count(*) - $6 + 2, 1)]) * 1000000)::bigint::text || '},' || to_json((array_agg(e.event_id order by e.timestamp asc, e.event_id asc, e.xid asc, e.dataset_id asc))[greatest(count(*) - $6 + 2, 1)])::text || ',{"u":"' || encode(uuid_send((array_agg(e.xid order by e.timestamp asc, e.event_id asc, e.xid asc, e.dataset_id asc))[greatest(count(*) - $6 + 2, 1)]), 'hex') || '"},{"u":"' || encode(uuid_send((array_agg(e.dataset_id order by e.timestamp asc, e.event_id asc, e.xid asc, e.dataset_id asc))[greatest(count(*) - $6 + 2, 1)]), 'hex') || '"}]', 'UTF8'), 'base64'), '='), E'\n', ''), '+', '-'), '/', '_') || '"', 'null') || '}}' from (select e.*
          from unnest(g.event_xids) member (xid)
         cross join lateral (
                 select e.timestamp, e.event_id, e.xid, e.dataset_id
                   from gateway.event e
                  where e.sandbox_id = $1 and e.xid = member.xid  and e.timestamp >= $7
                  order by e.timestamp desc, e.event_id desc fetch first ($6) rows with ties) e
         order by e.timestamp desc, e.event_id desc, e.xid desc, e.dataset_id desc
         limit $6) e
 ) || '}' else 'null' end || '}', ''), E'\x01' order by asked.place) as texts
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
 cross join lateral (select coalesce(p.document, '{}') as document, case when p.document is not null then '' end as unread_document) kept;
