-- What an edge was asked for and does not have.

-- name: want(sandbox_id, configuration_id, most | identity uuid, namespace_id integer, value text) -> none
-- Note what is wanted, unless the edge wants more than so many things.
insert into edge.wanted (sandbox_id, configuration_id, identity, namespace_id, value, asked_at)
select $1, $2, given.identity, given.namespace_id, given.value, now()
  from (values {rows}) as given (identity, namespace_id, value)
 where (select count(*) from (select from edge.wanted limit $3) as noted) < $3
on conflict do nothing;

-- name: list_wanted(limit) -> rows
-- What is wanted, oldest first. Walks wanted_asked_idx.
select sandbox_id, configuration_id, namespace_id, value, identity, asked_at
  from edge.wanted
 order by asked_at
 limit $1;

-- name: answer(sandbox_id, configuration_ids, identities) -> none
-- Drop what is wanted no longer: each pair of a configuration and an identity. Walks wanted_pkey.
delete from edge.wanted w
 using unnest($2::uuid[], $3::uuid[]) as given (configuration_id, identity)
 where w.sandbox_id = $1
   and w.configuration_id = given.configuration_id
   and w.identity = given.identity;
