-- People: who belongs together, and the profile that a policy keeps of them. `{columns}` are what is read of each, put together by
-- projection/sql.py; `{graph}` and `{profile}` are the parts of these names, or nothing where no column looks at them. That of the size follows.
--
-- `document || '{}'` is the document, but decompressed once: each access to a compressed one would decompress it anew.

-- part: graph
-- The person's members.
left join lateral (
         select xids, event_xids, identity_map, size, is_contested
           from gateway.graph
          where sandbox_id = $1 and profile_id = person.profile_id
          limit 1) g on true

-- part: profile
-- What this version of the policy keeps of the person. `limit` leaves no other way than its index, whatever the statistics say.
left join lateral (
         select document || '{}' as document, sources, modified_at
           from gateway.profile
          where sandbox_id = $1 and profile_id = person.profile_id
            and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3)
          limit 1) p on true
 cross join lateral (select coalesce(p.document, '{}') as document, case when p.document is not null then '' end as unread_document) kept

-- part: size
-- How many events a person has, and which guardrails they have passed.
cross join lateral (
         select event_count, array_to_json(array_remove(array[case when g.size > {identities} then 'IDENTITIES' end,
                                                              case when event_count > {events} then 'EVENTS' end,
                                                              case when octet_length(p.document::text) > {bytes} then 'DOCUMENT_SIZE' end], null)) as exceeded
           from (select count(*) as event_count from gateway.event e where e.sandbox_id = $1 and e.xid = any(g.event_xids)) e) size

-- part: members
-- The identities `i` of a person, in the order of the graph.
from unnest(g.xids) with ordinality member (xid, place)
  join lateral (
         select xid, namespace_id, value
           from gateway.identity
          where sandbox_id = $1 and xid = member.xid
          limit 1) i on true

-- part: sources
-- The datasets `d` of the records in a profile; of a person without records, those of the events.
from gateway.dataset d
 where d.sandbox_id = $1
   and d.dataset_id = any(coalesce(p.sources, (select array_agg(e.dataset_id) from gateway.event e where e.sandbox_id = $1 and e.xid = any(g.event_xids))))

-- part: modified_at
-- When the newest of the records in a profile was ingested; of a person without records, when the newest event was; else the newest of the
-- records that take no part.
coalesce(p.modified_at, (select max(e.ingested_at) from gateway.event e where e.sandbox_id = $1 and e.xid = any(g.event_xids)),
         (select max(f.ingested_at) from gateway.fragment f where f.sandbox_id = $1 and f.xid = any(g.xids) and not f.is_deleted))

-- part: is_current
-- Whether the policy still has this version: a profile that is missing has no document, unless the policy has changed.
exists (select from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3)

-- part: is_computed
-- Whether the statement computes all values of a person; NULL where the policy has another version, or values are computed by another configuration.
case when {is_current} and {is_known} then coalesce(checked.is_computed, true) end

-- part: text_if_computed
-- The JSON text of a person, or a character that is none where the statement does not compute all values of theirs.
case when checked.is_computed is not false then {text} else E'\x02' end

-- part: keys
-- Where each of these xids leads, unknown ones included. `{arrays}` and `{names}` are values of conditions that differ among them.
from unnest($4::uuid[]{arrays}) with ordinality asked (xid{names}, place)
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

-- name: read_people(sandbox_id, policy_id, version, xids) -> rows
-- Read where each of these xids leads, in their order, unknown ones included. Walks identity_pkey, then graph_pkey and profile_pkey once for each.
select {columns}
  {keys}
  {graph}
  {profile}
 order by asked.place;

-- name: read_texts(sandbox_id, policy_id, version, xids) -> row
-- Read one JSON text of where each of these xids leads, in their order, with a character between them that JSON texts lack; of what is missing
-- an empty one. An array of texts costs twice as much. Walks identity_pkey, then graph_pkey and profile_pkey once for each.
select {is_current} as is_current, string_agg(coalesce({text}, ''), E'\x01' order by asked.place) as texts
  {keys}
  {graph}
  {profile};

-- part: is_any
-- Whether a person is among those asked for.
= any($3::uuid[])

-- part: is_one
-- Whether a person is the one asked for: a cluster plans this sooner.
= $3::uuid

-- name: read_people_by_id(sandbox_id, policy_id, profile_ids) -> rows
-- Read the people with these ids, for those that exist, with what any version of the policy keeps: to look for the version in the same statement
-- costs more than all the rest, as a cluster sends what it finds on the coordinator to every node. Walks graph_pkey and profile_pkey.
select {columns}
  from gateway.graph g
  left join gateway.profile p
    on p.sandbox_id = $1 and p.policy_id = $2 and p.profile_id {is_asked} and p.profile_id = g.profile_id
 where g.sandbox_id = $1 and g.profile_id {is_asked};

-- name: is_version(sandbox_id, policy_id, version) -> value
-- Tell whether the policy has this version. Walks merge_policy_pkey.
select exists (select 1 from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3);

-- name: list_people(sandbox_id, policy_id, version, after, before, size) -> rows
-- List the people between two ids, from the one or from the other. Walks graph_pkey, then profile_pkey once for each.
select {columns}
  from gateway.graph g
 cross join lateral (select g.profile_id, $2::uuid as policy_id, $3::integer as version, true as is_found) person
  {profile}
 where g.sandbox_id = $1 and g.profile_id > $4 and g.profile_id < $5
 order by g.profile_id {direction}
 limit $6;

-- name: list_ids(sandbox_id, after, before, size) -> rows
-- List the ids of people between two, from the one or from the other. Walks graph_pkey.
select profile_id
  from gateway.graph
 where sandbox_id = $1 and profile_id > $2 and profile_id < $3
 order by profile_id {direction}
 limit $4;

-- name: count_people(sandbox_id) -> value
-- Count them. Walks graph_pkey.
select count(*)
  from gateway.graph
 where sandbox_id = $1;

-- name: read_merged(sandbox_id, profile_ids, policy_id, version) -> rows
-- Read what this version of the policy keeps of these people. Walks profile_pkey.
select profile_id, document, sources, modified_at
  from gateway.profile
 where sandbox_id = $1 and profile_id = any($2::uuid[])
   and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $3 and m.version = $4);

-- name: list_primaries(sandbox_id, after, before, size) -> rows
-- List the identities between two xids, from the one or from the other, under which a live fragment or an event is stored. Walks
-- identity_pkey, then fragment_pkey and event_timeline_idx once for each: `exists` would be hashed over the whole sandbox.
select i.xid, i.namespace_id, i.value, i.profile_id
  from gateway.identity i
 where i.sandbox_id = $1 and i.xid > $2 and i.xid < $3
   and {is_primary}
 order by i.xid {direction}
 limit $4;

-- name: count_primaries(sandbox_id) -> value
-- Count the identities under which a live fragment or an event is stored. Walks identity_pkey, then fragment_pkey and event_timeline_idx once for each.
select count(*)
  from gateway.identity i
 where i.sandbox_id = $1
   and {is_primary};
