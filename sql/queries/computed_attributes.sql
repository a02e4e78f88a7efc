-- Computed attributes: what is computed, and the values of people.

-- name: list_attributes(sandbox_id) -> rows
-- All computed attributes of the sandbox by name. Walks computed_attribute_name_key.
select attribute_id, name, display_name, description, class, expression, lookback, keep_current, merge_function, return_type, dependencies,
       status, slot, job_id, backfilled_at, version, created_at, updated_at, created_by
  from gateway.computed_attribute
 where sandbox_id = $1
 order by name;

-- name: create_attribute(sandbox_id, attribute_id, name, display_name, description, class, expression, lookback, keep_current, merge_function, return_type, dependencies, status, slot, job_id, created_by) -> none
-- Creates an attribute. Walks computed_attribute_name_key.
insert into gateway.computed_attribute (sandbox_id, attribute_id, name, display_name, description, class, expression, lookback, keep_current,
                                        merge_function, return_type, dependencies, status, slot, job_id, created_by, created_at,
                                        updated_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, stamp, stamp
  from gateway.now() as stamp;

-- name: update_attribute(sandbox_id, attribute_id, name, display_name, description, class, expression, lookback, keep_current, merge_function, return_type, dependencies, status, slot, job_id) -> none
-- Changes an attribute; its version grows by one. Walks computed_attribute_pkey.
update gateway.computed_attribute
   set name = $3, display_name = $4, description = $5, class = $6, expression = $7, lookback = $8, keep_current = $9, merge_function = $10,
       return_type = $11, dependencies = $12, status = $13, slot = $14, job_id = $15, version = version + 1, updated_at = gateway.now()
 where sandbox_id = $1 and attribute_id = $2;

-- name: advance_attribute(sandbox_id, attribute_id, status) -> none
-- Says how far the partials of an attribute are. Walks computed_attribute_pkey.
update gateway.computed_attribute
   set status = $3, backfilled_at = case $3 when 'PROCESSED' then gateway.now() end
 where sandbox_id = $1 and attribute_id = $2 and status in ('NEW', 'INITIALIZING', 'PROCESSING');

-- name: give_up_backfill(sandbox_id, job_id) -> none
-- Switches the attribute off whose history a job was to read; one that failed, or that others read or a projection selects, has values that
-- are computed of its events. Walks job_pkey and computed_attribute_pkey.
update gateway.computed_attribute as a
   set slot = null,
       status = case when j.status = 'FAILED'
                       or exists (select from gateway.computed_attribute as o
                                   where o.sandbox_id = $1 and o.status not in ('DRAFT', 'DISABLED')
                                     and exists (select from unnest(o.dependencies) as path where path || '.' like '%.ComputedAttributes.' || a.name || '.%'))
                       or exists (select
                                    from gateway.projection_configuration as p
                                   cross join unnest(p.paths) as path
                                    join gateway.sandbox as s on s.sandbox_id = $1
                                    join gateway.organization as o on o.organization_id = s.organization_id
                                   cross join concat('_', o.code, '.ComputedAttributes.', a.name, '.') as place
                                   cross join concat(regexp_replace(path, '^xEvent[.]', ''), '.') as own
                                   where p.sandbox_id = $1 and (starts_with(own, place) or starts_with(place, own)))
                     then 'FAILED' else 'DISABLED' end
  from gateway.job as j
 where j.sandbox_id = $1 and j.job_id = $2 and a.sandbox_id = $1 and a.attribute_id = j.subject
   and a.status in ('NEW', 'INITIALIZING', 'PROCESSING');

-- name: give_partials(sandbox_id, attribute_id, status, slot, job_id) -> none
-- Says where the partials of an attribute stand from now on, and which job reads the events of the past for them. Walks computed_attribute_pkey.
update gateway.computed_attribute
   set status = $3, slot = $4, job_id = $5
 where sandbox_id = $1 and attribute_id = $2;

-- name: delete_attribute(sandbox_id, attribute_id) -> none
-- Deletes an attribute. Walks computed_attribute_pkey.
delete from gateway.computed_attribute
 where sandbox_id = $1 and attribute_id = $2;

-- name: compute_of_events(sandbox_id, xids, starts, stops, at, since) -> rows
-- What attributes make of each person's events, a person being a slice of the xids: one column for each attribute, over events from its
-- own time in `since` up to `at`. `{events}`: those of the person, where they are given. Walks event_timeline_idx for each.
select {columns}
  from unnest($3::integer[], $4::integer[]) with ordinality slice (start, stop, place)
 cross join lateral (select slice.place, $1::bigint as sandbox_id, ($2::uuid[])[slice.start:slice.stop] as xids, '{}'::jsonb as document,
                            {events}$5::timestamptz as at, $6::timestamptz[] as since) person
 order by person.place;

-- name: compute_of_documents(sandbox_id, documents, at) -> rows
-- What attributes make of each document, one column for each attribute. Reads no table.
select {columns}
  from unnest($2::text[]) with ordinality given (text, place)
 cross join lateral (select given.place, $1::bigint as sandbox_id, '{}'::uuid[] as xids, given.text::jsonb as document, $3::timestamptz as at,
                            '{}'::timestamptz[] as since offset 0) person
 order by person.place;

-- name: compute_of_each_event(sandbox_id, documents, timestamps) -> rows
-- What attributes make of each event, one column for each attribute. Reads no table.
select {columns}
  from unnest($2::text[], $3::timestamptz[]) with ordinality given (text, timestamp, place)
 cross join lateral (select given.place, $1::bigint as sandbox_id, given.text::jsonb as document, given.timestamp offset 0) e
 order by e.place;
