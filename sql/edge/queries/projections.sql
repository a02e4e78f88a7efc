-- Projections of people, and whose each identity is. Each is of one edition of a configuration.

-- part: given
-- Identities with their people and editions.
unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[]) as given (identity, person, configuration_id, edition)

-- name: find_former_people(sandbox_id, identities, people, configuration_ids, editions) -> rows
-- Find the people who have these identities now and will not have them: each identity goes to the person at its place. Walks identity_pkey.
select distinct i.person, i.configuration_id, i.edition
  from {given}
  join edge.identity i using (identity, configuration_id, edition)
 where i.sandbox_id = $1
   and i.person <> given.person;

-- name: set_strays_absent(sandbox_id, identities, people, configuration_ids, editions, seconds) -> none
-- Note for so many seconds that nobody has those identities of the given people that are not among the given ones. Walks identity_person_idx.
update edge.identity i
   set person = null, absent_until = now() + make_interval(secs => $6::float8)
  from (select distinct person, configuration_id, edition from {given}) as one
 where i.sandbox_id = $1
   and i.person = one.person
   and i.configuration_id = one.configuration_id
   and i.edition = one.edition
   and not exists (select from {given}
                    where (given.identity, given.person, given.configuration_id, given.edition)
                        = (i.identity, i.person, i.configuration_id, i.edition));

-- name: assign(sandbox_id, identities, people, configuration_ids, editions) -> none
-- Give each identity to the person at its place.
insert into edge.identity (sandbox_id, identity, person, configuration_id, edition)
select $1, given.* from {given}
on conflict (sandbox_id, identity, configuration_id, edition) do update
   set person = excluded.person, absent_until = null
 where identity.person is distinct from excluded.person;

-- name: set_absent(sandbox_id, configuration_id, edition, identities, seconds) -> none
-- Note for so many seconds that nobody has these identities. What somebody has, or was erased, stays so.
insert into edge.identity (sandbox_id, identity, configuration_id, edition, absent_until)
select $1, identity, $2, $3, now() + make_interval(secs => $5::float8)
  from unnest($4::uuid[]) as identity
on conflict (sandbox_id, identity, configuration_id, edition) do update
   set absent_until = greatest(identity.absent_until, excluded.absent_until)
 where identity.person is null;

-- name: drop_people_without_identities(sandbox_id, people, configuration_ids, editions) -> none
-- Drop the projections of those of these people who have no identity in their edition. Walks projection_pkey.
delete from edge.projection p
 using unnest($2::uuid[], $3::uuid[], $4::bigint[]) as former (person, configuration_id, edition)
 where p.sandbox_id = $1
   and p.person = former.person
   and p.configuration_id = former.configuration_id
   and p.edition = former.edition
   and not exists (select from edge.identity i
                    where (i.sandbox_id, i.person, i.configuration_id, i.edition)
                        = (p.sandbox_id, p.person, p.configuration_id, p.edition));

-- name: put_projections(sandbox_id | person uuid, configuration_id uuid, edition bigint, etag text, projected_at timestamptz, due timestamptz, profile text, events text[], event_times timestamptz[]) -> none
-- Store projections in place of those that are there. One that did not change keeps the time since when it is like this.
insert into edge.projection as p
       (sandbox_id, person, configuration_id, edition, etag, projected_at, due, profile, events, event_times, delivered_at)
select $1, given.*, now() from (values {rows}) as given
on conflict (sandbox_id, person, configuration_id, edition) do update
   set etag = excluded.etag, due = excluded.due, profile = excluded.profile, events = excluded.events,
       event_times = excluded.event_times, delivered_at = excluded.delivered_at,
       projected_at = case when p.etag = excluded.etag then p.projected_at else excluded.projected_at end;

-- name: remove(sandbox_id, people, seconds) -> value
-- Drop people from all editions, and return how many projections went. Nobody has their identities, for so many seconds, or for good where
-- that is null. Walks projection_pkey and identity_person_idx.
with forgotten as (
  update edge.identity
     set person = null, absent_until = coalesce(now() + make_interval(secs => $3::float8), 'infinity')
   where sandbox_id = $1
     and person = any ($2::uuid[])
), gone as (
  delete from edge.projection
   where sandbox_id = $1
     and person = any ($2::uuid[])
  returning 1
)
select count(*) from gone;

-- name: forget_wanted(sandbox_id, people) -> none
-- Drop what is wanted of the identities of people.
delete from edge.wanted w
 using edge.identity i
 where i.sandbox_id = $1
   and i.person = any ($2::uuid[])
   and w.sandbox_id = $1
   and w.identity = i.identity;

-- name: withdraw(sandbox_id, configuration_id, edition, people) -> none
-- Drop the projections of people from one edition. Walks projection_pkey.
delete from edge.projection
 where sandbox_id = $1
   and person = any ($4::uuid[])
   and configuration_id = $2
   and edition = $3;

-- name: drop_projections(sandbox_id, configuration_id, keep, limit) -> value
-- Drop some projections and identities of a configuration that are of other editions than those to keep, and return how many went.
with projections as (
  delete from edge.projection
   where ctid = any (array(select ctid
                             from edge.projection
                            where sandbox_id = $1
                              and configuration_id = $2
                              and edition <> all ($3::bigint[])
                            limit $4))
  returning 1
), identities as (
  delete from edge.identity
   where ctid = any (array(select ctid
                             from edge.identity
                            where sandbox_id = $1
                              and configuration_id = $2
                              and edition <> all ($3::bigint[])
                            limit $4))
  returning 1
)
select (select count(*) from projections) + (select count(*) from identities);

-- part: one
-- The identity that is looked up.
= $4

-- part: many
-- The identities that are looked up.
= any ($4::uuid[])

-- name: look_up(sandbox_id, configuration_id, since, asked) -> rows
-- What is known of each identity, nulls in the one row where it is nothing of any. Each row tells the version of the sandbox's settings, too,
-- and since how many seconds the hub may know better; `event_times` only if there are events of before `since`, which is in seconds since 1970:
-- the driver takes long to encode a time. Walks primary keys.
select c.settings_version, i.identity, i.absent_until > now() as is_absent,
       date_part('epoch', now() - case c.replication_policy when 'REACTIVE' then p.delivered_at else greatest(p.delivered_at, c.confirmed_at) end) as age,
       p.etag, to_char(p.projected_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as projected_at, p.profile, p.events,
       case when p.event_times[cardinality(p.event_times)] < to_timestamp($3) then p.event_times end as event_times
  from edge.configuration c
  left join edge.identity i
    on i.sandbox_id = $1 and i.identity {asked} and i.configuration_id = $2 and i.edition = c.edition
  left join edge.projection p
    on p.sandbox_id = $1 and p.person = i.person and p.configuration_id = $2 and p.edition = c.edition
 where c.sandbox_id = $1
   and c.configuration_id = $2;

-- name: find_held_people(sandbox_id, configuration_id, edition, people) -> rows
-- Which of these people an edition has. Walks projection_pkey.
select person
  from edge.projection
 where sandbox_id = $1
   and person = any ($4::uuid[])
   and configuration_id = $2
   and edition = $3;

-- name: find_held_identities(sandbox_id, configuration_id, edition, identities) -> rows
-- Of which of these identities an edition knows whose they are, or that they are nobody's. Walks identity_pkey.
select identity
  from edge.identity
 where sandbox_id = $1
   and identity = any ($4::uuid[])
   and configuration_id = $2
   and edition = $3;

-- name: list_due(sandbox_id, at, limit) -> rows
-- Projections that were due by an instant, longest due first. Walks projection_due_idx.
select configuration_id, edition, person
  from edge.projection
 where sandbox_id = $1
   and due <= $2
 order by due
 limit $3;

-- name: count_projections(sandbox_id) -> rows
-- Count the projections of a sandbox by configuration and edition. Walks projection_pkey.
select configuration_id, edition, count(*) as projections
  from edge.projection
 where sandbox_id = $1
 group by configuration_id, edition;

-- name: read_projections(sandbox_id, configuration_id, edition, after, limit) -> rows
-- Read projections of a configuration in the order of people, after one of them. Walks projection_pkey.
select person, configuration_id, edition, profile, events, event_times, etag, projected_at, due,
       array(select identity
               from edge.identity i
              where (i.sandbox_id, i.person, i.configuration_id, i.edition) = (p.sandbox_id, p.person, p.configuration_id, p.edition)
              order by 1) as identities
  from edge.projection p
 where sandbox_id = $1
   and person > $4
   and configuration_id = $2
   and edition = $3
 order by person
 limit $5;

-- name: list_people(sandbox_id, configuration_id, edition, after, limit) -> rows
-- List the people of an edition in order, after one of them. Walks projection_pkey.
select person
  from edge.projection
 where sandbox_id = $1
   and person > $4
   and configuration_id = $2
   and edition = $3
 order by person
 limit $5;

-- name: forget_absent() -> none
-- Forget that nobody has identities, where that is known no longer. Walks identity_absent_idx.
delete from edge.identity
 where absent_until < now()
   and absent_until < 'infinity';
