-- People: who belongs together, and as much as is wanted of the document that a policy keeps merged for them.
--
-- `document || '{}'` is the document, but once unpacked: each look into one that lies compressed would unpack it anew.

-- name: find_people(sandbox_id, xids, policy_id, version) -> rows
-- Where these identities lead, as of one moment: the known ones, each with its person, and what this version of the policy has merged for
-- that. Walks identity_pkey, then graph_pkey and profile_pkey once for each: `limit` leaves no other way, whatever the statistics say.
select i.xid, i.namespace_id, i.value, g.profile_id, g.xids, g.identity_map, g.size, g.is_contested,
       case when p.document is not null then {document} end as document, p.sources, p.modified_at
  from gateway.identity i
  left join lateral (
         select profile_id, xids, identity_map, size, is_contested
           from gateway.graph
          where sandbox_id = $1 and profile_id = i.profile_id
          limit 1) g on true
  left join lateral (
         select document || '{}' as document, sources, modified_at
           from gateway.profile
          where sandbox_id = $1 and profile_id = i.profile_id
            and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $3 and m.version = $4)
          limit 1) p on true
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]);

-- name: glimpse_people(sandbox_id, xids, policy_id, version) -> rows
-- The same with no more of the person than its id. Walks identity_pkey, then profile_pkey once for each.
select i.xid, i.namespace_id, i.value, i.profile_id, case when p.document is not null then {document} end as document
  from gateway.identity i
  left join lateral (
         select document || '{}' as document
           from gateway.profile
          where sandbox_id = $1 and profile_id = i.profile_id
            and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $3 and m.version = $4)
          limit 1) p on true
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]);

-- name: glimpse_timelines(sandbox_id, xids, policy_id, version, size) -> rows
-- The same, and of each person the nearest events as finished JSON, how many were found, and the keys of the first and the last. Walks
-- identity_pkey, then graph_pkey and profile_pkey once for each, and event_timeline_idx once for each of their members.
select i.xid, i.namespace_id, i.value, i.profile_id, case when p.document is not null then {document} end as document, page.*
  from gateway.identity i
  left join lateral (
         select xids
           from gateway.graph
          where sandbox_id = $1 and profile_id = i.profile_id
          limit 1) g on true
  left join lateral (
         select document || '{}' as document
           from gateway.profile
          where sandbox_id = $1 and profile_id = i.profile_id
            and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $3 and m.version = $4)
          limit 1) p on true
 cross join lateral (
         select {nodes} as nodes, count(*) as found, {first} as first, {last} as last
           from (select e.*
                   from unnest(g.xids) member (xid)
                  cross join lateral (
                          select e.xid, e.dataset_id, e.event_id, e.timestamp, e.event_type, e.document, e.ingested_at
                            from gateway.event e
                           where e.sandbox_id = $1 and e.xid = member.xid {where}
                           order by {limited}) e
                  order by e.{time} {direction}, e.event_id {direction}, e.xid {direction}, e.dataset_id {direction}
                  limit $5) e
          cross join lateral (select e.document || '{}' as document offset 0) unpacked) page
 where i.sandbox_id = $1 and i.xid = any($2::uuid[]);

-- name: write_people(sandbox_id, xids, policy_id, version) -> row
-- A text for each of these identities, all of them as one, in their order: that of people whose document is kept, that of
-- unknown or of erased ones, or that of people of whom nothing is kept merged, whom the row also tells. Walks identity_pkey, then
-- profile_pkey once for each.
select string_agg(
         case when p.document is not null then {found}
              when i.profile_id is not null then {bare}
              when i.xid is not null and i.value is null then {erased}
              else {unknown} end, ',' order by asked.place) as text,
       array_agg(asked.xid order by asked.place) filter (where i.profile_id is not null and p.document is null) as bare
  from unnest($2::uuid[]) with ordinality asked (xid, place)
  left join lateral (
         select xid, value, profile_id
           from gateway.identity
          where sandbox_id = $1 and xid = asked.xid
          limit 1) i on true
  left join lateral (
         select document || '{}' as document
           from gateway.profile
          where sandbox_id = $1 and profile_id = i.profile_id
            and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $3 and m.version = $4)
          limit 1) p on true;

-- name: write_timelines(sandbox_id, xids, policy_id, version, size) -> row
-- The same with the nearest events of each person in it. Walks identity_pkey, then profile_pkey and graph_pkey once for each, and
-- event_timeline_idx once for each of their members.
select string_agg(
         case when p.document is not null then {found}
              when i.profile_id is not null then {bare}
              when i.xid is not null and i.value is null then {erased}
              else {unknown} end, ',' order by asked.place) as text,
       array_agg(asked.xid order by asked.place) filter (where i.profile_id is not null and p.document is null) as bare
  from unnest($2::uuid[]) with ordinality asked (xid, place)
  left join lateral (
         select xid, value, profile_id
           from gateway.identity
          where sandbox_id = $1 and xid = asked.xid
          limit 1) i on true
  left join lateral (
         select document || '{}' as document
           from gateway.profile
          where sandbox_id = $1 and profile_id = i.profile_id
            and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $3 and m.version = $4)
          limit 1) p on true
  left join lateral (
         select xids
           from gateway.graph
          where sandbox_id = $1 and profile_id = i.profile_id and p.document is not null
          limit 1) g on true
 cross join lateral (
         select {nodes} as nodes, count(*) as found, {first} as first, {last} as last
           from (select e.*
                   from unnest(g.xids) member (xid)
                  cross join lateral (
                          select e.xid, e.dataset_id, e.event_id, e.timestamp, e.event_type, e.document, e.ingested_at
                            from gateway.event e
                           where e.sandbox_id = $1 and e.xid = member.xid {where}
                           order by {limited}) e
                  order by e.{time} {direction}, e.event_id {direction}, e.xid {direction}, e.dataset_id {direction}
                  limit $5) e
          cross join lateral (select e.document || '{}' as document offset 0) unpacked) page;

-- name: read_people(sandbox_id, profile_ids, policy_id, version) -> rows
-- The existing ones of these people, with what this version of the policy has merged for them, as of one moment. Walks graph_pkey and
-- profile_pkey.
select g.profile_id, g.xids, g.identity_map, g.size, g.is_contested,
       case when p.document is not null then {document} end as document, p.sources, p.modified_at
  from gateway.graph g
  left join gateway.profile p
    on p.sandbox_id = $1 and p.policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $3 and m.version = $4)
   and p.profile_id = any($2::uuid[]) and p.profile_id = g.profile_id
 where g.sandbox_id = $1 and g.profile_id = any($2::uuid[]);

-- name: list_people(sandbox_id, policy_id, version, after, before, size) -> rows
-- The people next to one of two ids and between both, by id, with what the policy has merged for them. Walks graph_pkey, and profile_pkey
-- once for each: joined in another way, all people would be read first.
select g.profile_id, g.xids, g.identity_map, g.size, g.is_contested,
       case when p.document is not null then {document} end as document, p.sources, p.modified_at
  from gateway.graph g
  left join lateral (
         select document || '{}' as document, sources, modified_at
           from gateway.profile
          where sandbox_id = $1 and profile_id > $4 and profile_id < $5 and profile_id = g.profile_id
            and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $2 and m.version = $3)
          limit 1) p on true
 where g.sandbox_id = $1 and g.profile_id > $4 and g.profile_id < $5
 order by g.profile_id {direction}
 limit $6;

-- name: count_people(sandbox_id) -> value
-- How many there are. Walks graph_pkey.
select count(*)
  from gateway.graph
 where sandbox_id = $1;

-- name: read_merged(sandbox_id, profile_ids, policy_id, version) -> rows
-- What this version of the policy has merged for these subjects. Walks profile_pkey.
select profile_id, document, sources, modified_at
  from gateway.profile
 where sandbox_id = $1 and profile_id = any($2::uuid[])
   and policy_id = (select m.policy_id from gateway.merge_policy m where m.sandbox_id = $1 and m.policy_id = $3 and m.version = $4);

-- name: list_primaries(sandbox_id, after, before, size) -> rows
-- The identities next to one of two xids and between both, by xid, under which a live fragment or an event is stored. Walks
-- identity_pkey, then fragment_pkey and event_timeline_idx once for each: `exists` would be hashed over the whole sandbox.
select i.xid, i.namespace_id, i.value, i.profile_id
  from gateway.identity i
 where i.sandbox_id = $1 and i.xid > $2 and i.xid < $3
   and coalesce((select true from gateway.fragment f where f.sandbox_id = $1 and f.xid = i.xid and not f.is_deleted limit 1),
                (select true from gateway.event e where e.sandbox_id = $1 and e.xid = i.xid limit 1))
 order by i.xid {direction}
 limit $4;

-- name: count_primaries(sandbox_id) -> value
-- How many there are. Walks identity_pkey, then fragment_pkey and event_timeline_idx once for each.
select count(*)
  from gateway.identity i
 where i.sandbox_id = $1
   and coalesce((select true from gateway.fragment f where f.sandbox_id = $1 and f.xid = i.xid and not f.is_deleted limit 1),
                (select true from gateway.event e where e.sandbox_id = $1 and e.xid = i.xid limit 1));
