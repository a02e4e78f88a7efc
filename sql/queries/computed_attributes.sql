-- Computed attributes: what is computed, and the values of people.

-- name: list_attributes(sandbox_id) -> rows
-- All computed attributes of the sandbox by name. Walks computed_attribute_name_key.
select attribute_id, name, display_name, description, class, expression, lookback, keep_current, merge_function, return_type, dependencies,
       status, version, created_at, updated_at, created_by
  from gateway.computed_attribute
 where sandbox_id = $1
 order by name;

-- name: create_attribute(sandbox_id, attribute_id, name, display_name, description, class, expression, lookback, keep_current, merge_function, return_type, dependencies, status, created_by) -> none
-- Creates an attribute. Walks computed_attribute_name_key.
insert into gateway.computed_attribute (sandbox_id, attribute_id, name, display_name, description, class, expression, lookback, keep_current,
                                        merge_function, return_type, dependencies, status, created_by, created_at, updated_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, stamp, stamp
  from gateway.now() as stamp;

-- name: update_attribute(sandbox_id, attribute_id, name, display_name, description, class, expression, lookback, keep_current, merge_function, return_type, dependencies, status) -> none
-- Changes an attribute; its version grows by one. Walks computed_attribute_pkey.
update gateway.computed_attribute
   set name = $3, display_name = $4, description = $5, class = $6, expression = $7, lookback = $8, keep_current = $9, merge_function = $10,
       return_type = $11, dependencies = $12, status = $13, version = version + 1, updated_at = gateway.now()
 where sandbox_id = $1 and attribute_id = $2;

-- name: delete_attribute(sandbox_id, attribute_id) -> none
-- Deletes an attribute. Walks computed_attribute_pkey.
delete from gateway.computed_attribute
 where sandbox_id = $1 and attribute_id = $2;

-- name: compute_of_events(sandbox_id, xids, starts, stops, at, since) -> rows
-- What attributes make of each person's events, a person being a slice of the xids: one column for each attribute, over events from its
-- own time in `since` up to `at`. Walks event_timeline_idx for each.
select {columns}
  from unnest($3::integer[], $4::integer[]) with ordinality slice (start, stop, place)
 cross join lateral (select slice.place, $1::bigint as sandbox_id, ($2::uuid[])[slice.start:slice.stop] as xids, '{}'::jsonb as document,
                            $5::timestamptz as at, $6::timestamptz[] as since) person
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
