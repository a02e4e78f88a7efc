-- Partials of computed attributes: what each makes of the events of an identity in a bucket of time, and the values that they come to.

-- part: of_size
-- The partials of the events in `taken` by buckets of one size, from a time on.
select t.xid, {seconds}::integer as bucket_seconds, {bucket} as bucket, min(t.timestamp) as first_at, max(t.timestamp) as last_at,
       {numbers} as numbers, {items} as items
  from taken as t
 where ({counts}){since}
 group by t.xid, {bucket}

-- part: in_window
-- Whether all events of a row `o` lie in a window, of those with buckets of its size that the window reaches; for others, NULL.
case when o.bucket_seconds = {seconds}{is_reached} then o.last_at <= moment.at{is_whole} end

-- part: folded
-- What partials come to for a person, who has events under the identities `{xids}`: one row with a column for each attribute, over events from the
-- begin of its window up to `moment.at`. `{reached}`: whether a window reaches a row; `{among}`: which sizes rows are of, where there are others.
-- Walks computed_partial_pkey, and event_timeline_idx for the rows that are cut.
with held as materialized (
  select o.xid, o.first_at, o.last_at, {kept}, {windows}
    from gateway.computed_partial as o
   where o.sandbox_id = $1 and o.xid = any({xids}){among}
     and o.first_at <= moment.at{reached}
)
select {values}
  from (select {names} from held{of_events}) as part

-- part: of_sizes
-- Of which sizes rows are: each is looked for by itself in the index.
and o.bucket_seconds = any('{{sizes}}')

-- part: of_events
-- The events of rows `h` that windows cut, each as if it were a row.
 union all
select {of_event}
  from held as h
 cross join lateral (select e.timestamp, {columns}
                       from gateway.event as e{document}
                      where e.sandbox_id = $1 and e.xid = h.xid and e.timestamp between h.first_at and h.last_at
                     offset 0) as t
 where {is_cut}

-- part: is_known
-- Whether the configuration is still of a version. If it is not, others may stand at the slots.
exists (select from gateway.sandbox where sandbox_id = $1 and config_version = {version})

-- part: of_xids
-- The partials that events of some identities make, those within a time if one is given. What is taken for buckets of one size alone reads no
-- column that they do not need, so that many are counted by the index. `{limit}`: how many events are taken at most, or an
-- `offset 0`, which keeps what is taken apart from what is made of it.
with taken as (
  select e.xid, e.dataset_id, e.event_id, e.timestamp, {columns}
    from gateway.event as e{document}
   where e.sandbox_id = $1 and e.xid = any($2::uuid[]) {within}
  {limit}
), made as materialized ({made})

-- part: within
-- From a time to before another.
and e.timestamp >= {since} and e.timestamp < {until}

-- name: add_events(sandbox_id, dataset_ids, xids, event_ids, oldest) -> none
-- Adds these events to the partials of their identities, from the `oldest` time of each size on; rows are locked in the order of their key. Walks event_pkey and computed_partial_pkey.
with taken as materialized (
  select e.xid, e.dataset_id, e.event_id, e.timestamp, {columns}
    from unnest($2::uuid[], $3::uuid[], $4::text[]) as given (dataset_id, xid, event_id)
   cross join lateral (select o.*
                         from gateway.event as o
                        where o.sandbox_id = $1 and o.xid = given.xid and o.dataset_id = given.dataset_id and o.event_id = given.event_id
                       offset 0) as e{document}
)
insert into gateway.computed_partial as p (sandbox_id, xid, bucket_seconds, bucket, first_at, last_at, numbers, items)
select $1, made.* from ({made}) as made
 order by xid, bucket_seconds, bucket
on conflict (sandbox_id, xid, bucket_seconds, bucket) do update
   set first_at = least(p.first_at, excluded.first_at), last_at = greatest(p.last_at, excluded.last_at),
       numbers = case p.bucket_seconds {numbers} end, items = case p.bucket_seconds {items} end;

-- name: hold(sandbox_id, xids, sizes) -> none
-- Locks the partials of these identities in the order of their key, and empties them: those that are there, and those that their events may make
-- in buckets of these `sizes`. Walks event_timeline_idx and computed_partial_pkey.
insert into gateway.computed_partial as p (sandbox_id, xid, bucket_seconds, bucket, first_at, last_at, numbers, items)
select $1, held.*, 'epoch', 'epoch', '{}', '{}'
  from (select e.xid, size.seconds, case size.seconds when 0 then 'epoch' else date_bin(make_interval(secs => size.seconds), e.timestamp, 'epoch') end
          from gateway.event as e
         cross join unnest($3::integer[]) as size (seconds)
         where e.sandbox_id = $1 and e.xid = any($2::uuid[])
         union
        select o.xid, o.bucket_seconds, o.bucket
          from gateway.computed_partial as o
         where o.sandbox_id = $1 and o.xid = any($2::uuid[])
       ) as held (xid, seconds, bucket)
 order by held.xid, held.seconds, held.bucket
on conflict (sandbox_id, xid, bucket_seconds, bucket) do update set numbers = '{}', items = '{}';

-- name: make_held(sandbox_id, xids, since, until) -> none
-- Makes the partials of these identities that are held, from their events within a time, and removes those of no event. `is true` keeps Postgres
-- from joining what it takes for one row. Walks event_timeline_idx and computed_partial_pkey.
{of_xids}, held as materialized (
  select p.xid, p.bucket_seconds, p.bucket
    from gateway.computed_partial as p
   where p.sandbox_id = $1 and p.xid = any($2::uuid[]) and p.numbers = '{}'
), gone as (
  delete from gateway.computed_partial as p
   where p.sandbox_id = $1 and p.xid = any($2::uuid[]) and p.numbers = '{}'
     and (p.xid, p.bucket_seconds, p.bucket) not in (select made.xid, made.bucket_seconds, made.bucket from made)
)
insert into gateway.computed_partial as p (sandbox_id, xid, bucket_seconds, bucket, first_at, last_at, numbers, items)
select $1, made.*
  from made
 where ((made.xid, made.bucket_seconds, made.bucket) in (select held.xid, held.bucket_seconds, held.bucket from held)) is true
    on conflict (sandbox_id, xid, bucket_seconds, bucket) do update
   set first_at = excluded.first_at, last_at = excluded.last_at, numbers = excluded.numbers, items = excluded.items;

-- name: make_some(sandbox_id, xids, since, until, most) -> row
-- Makes the partials of some attributes from the events of these identities within a time, and leaves those of others in their rows as they are.
-- Rows are locked once all are made, in the order of their key; those are among them in which an attribute that is no more stood at the same
-- place. Returns the snapshot of the events that were read, and how many they are: of more than `most` one more is read, and nothing is made;
-- null: any number. Walks event_timeline_idx and computed_partial_pkey.
{of_xids}, stale as (
  select p.xid, p.bucket_seconds, p.bucket, p.first_at, p.last_at, '{}'::numeric[], '{}'::jsonb[]
    from gateway.computed_partial as p
   where p.sandbox_id = $1 and p.xid = any($2::uuid[]) and p.bucket >= $3 and p.bucket < $4 and ({is_used})
     and ((p.xid, p.bucket_seconds, p.bucket) not in (select made.xid, made.bucket_seconds, made.bucket from made)) is true
), written as (
  insert into gateway.computed_partial as p (sandbox_id, xid, bucket_seconds, bucket, first_at, last_at, numbers, items)
  select $1, each.* from (select * from made union all select * from stale) as each
   where ((select count(*) from taken) <= $5::bigint) is not false
   order by xid, bucket_seconds, bucket
      on conflict (sandbox_id, xid, bucket_seconds, bucket) do update
     set first_at = least(p.first_at, excluded.first_at), last_at = greatest(p.last_at, excluded.last_at),
         numbers = case p.bucket_seconds {numbers} end, items = case p.bucket_seconds {items} end
)
select pg_current_snapshot() as snapshot, (select count(*) from taken) as events;

-- name: empty_changed(sandbox_id, xids, snapshot) -> rows
-- Empties, of the partials of these identities that this transaction wrote, those of identities that changed behind a snapshot, and lists these
-- identities. Walks change_tx_idx and computed_partial_pkey.
with changed as materialized (
  select distinct named.xid
    from (select c.xids
            from gateway.change as c
           where c.sandbox_id = $1 and (c.tx >= pg_snapshot_xmax($3) or c.tx = any(array(select pg_snapshot_xip($3))))
          offset 0) as c
   cross join unnest(c.xids) as named (xid)
   where named.xid = any($2::uuid[])
), emptied as (
  update gateway.computed_partial as p
     set numbers = '{}', items = '{}'
    from changed
   where p.sandbox_id = $1 and p.xid = changed.xid and p.xmin = pg_current_xact_id()::xid
  returning p.xid
)
select distinct xid from emptied;

-- name: give_up_slots(sandbox_id, attribute_ids) -> none
-- Says that these attributes have no partials, and that the configuration is another one, if that is new. Walks computed_attribute_pkey and
-- sandbox_pkey.
with given_up as (
  update gateway.computed_attribute
     set slot = null
   where sandbox_id = $1 and attribute_id = any($2::uuid[]) and slot is not null
  returning 1
)
update gateway.sandbox
   set config_version = config_version + 1
 where sandbox_id = $1 and exists (select from given_up);

-- name: forget(sandbox_id, xids) -> none
-- Removes the partials of these identities. Walks computed_partial_pkey.
delete from gateway.computed_partial
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- name: compare(sandbox_id, xids, since) -> rows
-- The partials that the events of these identities make, each from its own time in `since` on, and those that are stored; either is null where
-- it is missing. Walks event_timeline_idx and computed_partial_pkey.
{of_xids}
select coalesce(made.xid, p.xid) as xid, coalesce(made.bucket_seconds, p.bucket_seconds) as bucket_seconds, coalesce(made.bucket, p.bucket) as bucket,
       made.first_at, made.last_at, made.numbers, {items} as items,
       p.first_at as stored_first_at, p.last_at as stored_last_at, p.numbers as stored_numbers, {stored_items} as stored_items
  from made
  full join (select * from gateway.computed_partial where sandbox_id = $1 and xid = any($2::uuid[])) as p
    on p.xid = made.xid and p.bucket_seconds = made.bucket_seconds and p.bucket = made.bucket;

-- name: list_partials(sandbox_id, after, after_seconds, after_bucket, size) -> rows
-- List the keys of partials after this one. Walks computed_partial_pkey.
select xid, bucket_seconds, bucket
  from gateway.computed_partial
 where sandbox_id = $1 and (xid, bucket_seconds, bucket) > ($2, $3, $4)
 order by xid, bucket_seconds, bucket
 limit $5;

-- name: expire_partials(sandbox_id, after, after_seconds, after_bucket, size, sizes, oldest) -> row
-- Remove those of the partials after this one whose bucket lies before `oldest` for its size, or is of none of these sizes. Returns how many went,
-- and the last one that was looked at; no row if there is none. Walks computed_partial_pkey.
with seen as materialized (
  select xid, bucket_seconds, bucket
    from gateway.computed_partial
   where sandbox_id = $1 and (xid, bucket_seconds, bucket) > ($2, $3, $4)
   order by xid, bucket_seconds, bucket
   limit $5
), gone as (
  delete from gateway.computed_partial as p
   using seen
    left join unnest($6::integer[], $7::timestamptz[]) as kept (seconds, oldest) on kept.seconds = seen.bucket_seconds
   where p.sandbox_id = $1 and p.xid = seen.xid and p.bucket_seconds = seen.bucket_seconds and p.bucket = seen.bucket
     and (kept.seconds is null or seen.bucket + make_interval(secs => kept.seconds) <= kept.oldest)
  returning p.xid
)
select xid, bucket_seconds, bucket, (select count(*) from gone) as gone
  from seen
 order by xid desc, bucket_seconds desc, bucket desc
 limit 1;

-- name: fold(sandbox_id, xids, starts, stops, at, since, version) -> rows
-- What partials come to for each person, a person being a slice of the xids: one column for each attribute, over events from the begin of its
-- window, which is in `since`, up to `at`. No rows if the configuration is of another `version` by now. Walks sandbox_pkey,
-- computed_partial_pkey, and event_timeline_idx for the rows that are cut.
select folded.*
  from unnest($3::integer[], $4::integer[]) with ordinality as slice (start, stop, place)
 cross join lateral (select ($2::uuid[])[slice.start:slice.stop] as xids, $5::timestamptz as at{since} offset 0) as moment
 cross join lateral ({folded}) as folded
 where {is_known}
 order by slice.place;

-- name: list_buckets(sandbox_id, xids, starts, stops, sizes, places, since, at, version) -> rows
-- The newest 100 partials that values are folded of, a value being of a slice of the xids, of buckets of one size, of a window; `places` are
-- those of the numbers of events. No rows if the configuration is of another `version` by now: others may stand there. Walks sandbox_pkey and
-- computed_partial_pkey.
select given.number, p.xid, p.bucket, p.first_at >= given.since and p.last_at <= given.at as is_whole, p.numbers[given.place]::bigint as counted
  from unnest($3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::timestamptz[], $8::timestamptz[]) with ordinality
       as given (start, stop, seconds, place, since, at, number)
 cross join lateral (
   select k.xid, k.bucket, k.first_at, k.last_at, k.numbers
     from gateway.computed_partial as k
    where k.sandbox_id = $1 and k.xid = any(($2::uuid[])[given.start:given.stop]) and k.bucket_seconds = given.seconds
      and k.last_at >= given.since and k.first_at <= given.at and k.numbers[given.place] > 0
    order by k.bucket desc, k.xid
    limit 100
 ) p
 where exists (select from gateway.sandbox where sandbox_id = $1 and config_version = $9)
 order by given.number, p.bucket desc, p.xid;
