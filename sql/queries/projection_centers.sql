-- Deliveries: who brings projections to a data centre, and what its edge has by now, as was last told. `take_lease`, `extend_lease`,
-- `release_lease`, `read_hub`, `list_held` and `list_reached` are of data centres, which are no sandbox's own; `list_destinations` looks across sandboxes.

-- name: take_lease(data_center, lease, seconds) -> value
-- Take the lease of a data centre, unless another holds it, for so many seconds. Return its number, which is greater than all before.
-- Walks data_center_pkey.
insert into gateway.data_center as c (data_center, fence, lease, leased_until)
select $1, 1, $2::uuid, stamp + make_interval(secs => $3)
  from gateway.now() as stamp
    on conflict (data_center) do update
   set fence = c.fence + 1, lease = excluded.lease, leased_until = excluded.leased_until
 where c.lease is null or c.leased_until < excluded.leased_until - make_interval(secs => $3)
returning fence;

-- name: extend_lease(data_center, lease, seconds, is_reached, error) -> value
-- Let the lease end so many seconds from now, and note whether the edge answered, or why nothing is delivered. Return the data centre if the
-- lease holds. Walks data_center_pkey.
update gateway.data_center
   set leased_until = stamp + make_interval(secs => $3), reached_at = case when $4 then stamp else reached_at end, error = $5
  from gateway.now() as stamp
 where data_center = $1 and lease = $2
returning data_center;

-- name: release_lease(data_center, lease) -> none
-- Let others take the lease. Walks data_center_pkey.
update gateway.data_center
   set lease = null
 where data_center = $1 and lease = $2;

-- name: read_hub() -> value
-- Return what names this deployment: its first organization, which a copy of the database has, too. Walks organization_pkey, of few rows.
select organization_id::text
  from gateway.organization
 order by created_at, organization_id
 limit 1;

-- name: list_held() -> rows
-- List the data centres whose lease is held. Walks data_center_pkey, of few rows.
select data_center
  from gateway.data_center
 where lease is not null and leased_until > (select gateway.now())
 order by data_center;

-- name: list_reached(data_centers, seconds) -> rows
-- List what is known of these data centres: whether the edge answered in the last so many seconds, and why nothing is delivered to it.
-- Walks data_center_pkey.
select data_center, coalesce(reached_at > stamp - make_interval(secs => $2), false) and error is null as is_reachable, error
  from gateway.data_center, gateway.now() as stamp
 where data_center = any($1::text[]);

-- name: list_destinations(data_center) -> rows
-- List the sandboxes that have configurations for a data centre, or of which its edge had something when that was last told.
-- Walks projection_destination_pkey, projection_configuration_pkey and delivery_pkey.
select d.sandbox_id
  from gateway.projection_destination d
  join gateway.projection_configuration c on c.sandbox_id = d.sandbox_id and c.destination_id = d.destination_id
 where $1 = any(d.data_centers)
 union
select sandbox_id
  from gateway.delivery
 where data_center = $1;

-- name: note_delivery(sandbox_id, data_center, position, confirmed_at, projections, delivered) -> none
-- Note what an edge has of the sandbox: how far it followed the journal, and until when everything is there. Walks delivery_pkey.
insert into gateway.delivery as d (sandbox_id, data_center, position, confirmed_at, projections, delivered_at)
select s.sandbox_id, $2, $3, $4, $5, case when $6 then gateway.now() end
  from gateway.sandbox s
 where s.sandbox_id = $1
    on conflict (sandbox_id, data_center) do update
   set position = excluded.position, confirmed_at = coalesce(excluded.confirmed_at, d.confirmed_at), projections = excluded.projections,
       delivered_at = coalesce(excluded.delivered_at, d.delivered_at);

-- name: note_configuration(sandbox_id, data_center, configuration_id, served, filling, done, total, error) -> none
-- Note what an edge has of a configuration: the edition that it serves, the one that it is filled with and how far, and what is wrong.
-- Walks configuration_delivery_pkey.
insert into gateway.configuration_delivery (sandbox_id, data_center, configuration_id, served, filling, done, total, error)
select $1, $2, c.configuration_id, $4, $5, $6, $7, $8
  from gateway.projection_configuration c
 where c.sandbox_id = $1 and c.configuration_id = $3
    on conflict (sandbox_id, data_center, configuration_id) do update
   set served = excluded.served, filling = excluded.filling, done = excluded.done, total = excluded.total, error = excluded.error;

-- name: forget_delivery(sandbox_id, data_center) -> none
-- Forget what was told of an edge that has nothing of the sandbox any more. Walks delivery_pkey.
delete from gateway.delivery
 where sandbox_id = $1 and data_center = $2;

-- name: list_deliveries(sandbox_id) -> rows
-- List what edges have of the sandbox. Walks delivery_pkey.
select data_center, position, confirmed_at, delivered_at, projections, extract(epoch from gateway.now() - confirmed_at) as lag_seconds
  from gateway.delivery
 where sandbox_id = $1
 order by data_center;

-- name: list_configuration_deliveries(sandbox_id) -> rows
-- List what edges have of the sandbox's configurations. Walks configuration_delivery_pkey.
select data_center, configuration_id, served, filling, done, total, error
  from gateway.configuration_delivery
 where sandbox_id = $1
 order by data_center, configuration_id;

-- name: count_pending(sandbox_id, since, running, seq, limit) -> value
-- Count the rows of the journal that came after a snapshot, up to a limit. Walks change_tx_idx and change_pkey.
select count(*)
  from ((select 1
           from gateway.change
          where sandbox_id = $1 and tx = any($3::xid8[])
          limit $5)
        union all
        (select 1
           from gateway.change
          where sandbox_id = $1 and seq > $4 and not pg_visible_in_snapshot(tx, $2)
          limit $5)) pending;

-- name: list_erased(sandbox_id, xids) -> rows
-- List which of these identities a job has erased. Walks identity_pkey.
select xid, erased_by
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]) and erased_by is not null;

-- name: count_withdrawn(sandbox_id, job_id, data_center, seq, projections) -> none
-- Add to what went from an edge for a job that erases people, unless this row of the journal was counted. Walks withdrawn_projection_pkey.
insert into gateway.withdrawn_projection as w (sandbox_id, job_id, data_center, seq, projections)
select $1, j.job_id, $3, $4, $5
  from gateway.job j
 where j.sandbox_id = $1 and j.job_id = $2
    on conflict (sandbox_id, job_id, data_center) do update
   set seq = excluded.seq, projections = w.projections + excluded.projections
 where w.seq < excluded.seq;

-- name: sum_withdrawn(sandbox_id, job_id) -> value
-- Return how many projections went for a job that erases people. Walks withdrawn_projection_pkey.
select coalesce(sum(projections), 0)::bigint
  from gateway.withdrawn_projection
 where sandbox_id = $1 and job_id = $2;
