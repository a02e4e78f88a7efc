-- The same people and events as plain tables, as one would lay them out for PostGraphile: a column for each leaf that is asked for,
-- foreign keys that it makes fields of, and an index for each way to go. Ids are small, and nothing is partitioned.

create schema plain;

create table plain.person (
  id         integer primary key,
  first_name text,
  last_name  text,
  email      text,
  city       text,
  tier       text
);

create table plain.identity (
  namespace text not null,
  value     text not null,
  person_id integer not null references plain.person,
  primary key (namespace, value)
);

create table plain.event (
  id          bigint primary key,
  person_id   integer not null references plain.person,
  timestamp   timestamptz not null,
  event_type  text,
  page        text,
  price_total double precision,
  device      text
);

create temp table numbered as
select row_number() over (order by profile_id)::integer as id, sandbox_id, profile_id from gateway.graph;

insert into plain.person
select n.id, p.document #>> '{person,name,firstName}', p.document #>> '{person,name,lastName}', p.document #>> '{personalEmail,address}',
       p.document #>> '{homeAddress,city}', p.document #>> '{loyalty,tier}'
  from numbered n
  join gateway.profile p using (sandbox_id, profile_id);

insert into plain.identity
select k.code, i.value, n.id
  from gateway.identity i
  join gateway.namespace k using (sandbox_id, namespace_id)
  join numbered n using (sandbox_id, profile_id);

insert into plain.event
select row_number() over (order by n.id, e.timestamp), n.id, e.timestamp, e.event_type, e.document #>> '{web,webPageDetails,name}',
       (e.document #>> '{commerce,order,priceTotal}')::double precision, e.document #>> '{device,type}'
  from gateway.event e
  join gateway.identity i using (sandbox_id, xid)
  join numbered n using (sandbox_id, profile_id);

create index identity_person_idx on plain.identity (person_id);
create index event_timeline_idx on plain.event (person_id, timestamp desc, id);

comment on column plain.event.timestamp is '@behavior +orderBy';

-- PostGraphile answers this a tenth faster than `identityByNamespaceAndValue { personByPersonId }`.
create function plain.person_of(namespace text, value text) returns plain.person
  language sql stable
begin atomic
  select p.*
    from plain.identity i
    join plain.person p on p.id = i.person_id
   where i.namespace = person_of.namespace and i.value = person_of.value;
end;

-- Several people at once, in the order asked for: its way to ask by a list of keys is a function, which Postgres inlines.
create function plain.people_of(namespaces text[], "values" text[]) returns setof plain.person
  language sql stable
begin atomic
  select p.*
    from unnest(namespaces, "values") with ordinality asked (namespace, value, place)
    join plain.identity i using (namespace, value)
    join plain.person p on p.id = i.person_id
   order by asked.place;
end;

comment on function plain.people_of is '@behavior -connection +list';
