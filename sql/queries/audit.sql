-- The log of who changed what.

-- name: record(organization_id, sandbox_id, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id) -> none
-- Adds an entry, as of now. Walks audit_entry_pkey.
insert into gateway.audit_entry (organization_id, sandbox_id, actor, api_key_id, action, subject_type, subject_key, before, after,
                                 correlation_id, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, gateway.now());

-- name: read_entries(organization_id, names, entry_ids) -> rows
-- The entries with these ids that belong to the organization and, unless `names` is null, to its sandboxes of these names. Walks
-- audit_entry_pkey.
select entry_id, at, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and entry_id = any($3::bigint[]);

-- name: list_entries(organization_id, names, actor, action, since, until, after_at, after_id, before_at, before_id, size) -> rows
-- The first entries between two cursors that pass the filter, newest first: of the organization and, unless `names` is null, of its sandboxes of
-- these names. Walks audit_entry_at_idx.
select entry_id, at, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and ($3::text is null or actor = $3)
   and ($4::text is null or action = $4)
   and at >= coalesce($5::timestamptz, '-infinity')
   and at < coalesce($6::timestamptz, 'infinity')
   and (at, entry_id) < (coalesce($7::timestamptz, 'infinity'), coalesce($8::bigint, 9223372036854775807))
   and (at, entry_id) > (coalesce($9::timestamptz, '-infinity'), coalesce($10::bigint, -9223372036854775808))
 order by at desc, entry_id desc
 limit $11;

-- name: list_entries_backward(organization_id, names, actor, action, since, until, after_at, after_id, before_at, before_id, size) -> rows
-- The last of these entries between two cursors, oldest first. Walks audit_entry_at_idx.
select entry_id, at, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and ($3::text is null or actor = $3)
   and ($4::text is null or action = $4)
   and at >= coalesce($5::timestamptz, '-infinity')
   and at < coalesce($6::timestamptz, 'infinity')
   and (at, entry_id) < (coalesce($7::timestamptz, 'infinity'), coalesce($8::bigint, 9223372036854775807))
   and (at, entry_id) > (coalesce($9::timestamptz, '-infinity'), coalesce($10::bigint, -9223372036854775808))
 order by at, entry_id
 limit $11;

-- name: count_entries(organization_id, names, actor, action, since, until) -> value
-- The number of these entries. Walks audit_entry_at_idx.
select count(*)
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and ($3::text is null or actor = $3)
   and ($4::text is null or action = $4)
   and at >= coalesce($5::timestamptz, '-infinity')
   and at < coalesce($6::timestamptz, 'infinity');

-- name: list_entries_of_subject(organization_id, names, actor, action, since, until, after_at, after_id, before_at, before_id, size, subject_type, subject_key) -> rows
-- As `list_entries`, of one subject. Walks audit_entry_subject_idx.
select entry_id, at, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and ($3::text is null or actor = $3)
   and ($4::text is null or action = $4)
   and at >= coalesce($5::timestamptz, '-infinity')
   and at < coalesce($6::timestamptz, 'infinity')
   and (at, entry_id) < (coalesce($7::timestamptz, 'infinity'), coalesce($8::bigint, 9223372036854775807))
   and (at, entry_id) > (coalesce($9::timestamptz, '-infinity'), coalesce($10::bigint, -9223372036854775808))
   and subject_type = $12 and subject_key = $13::text[]
 order by at desc, entry_id desc
 limit $11;

-- name: list_entries_of_subject_backward(organization_id, names, actor, action, since, until, after_at, after_id, before_at, before_id, size, subject_type, subject_key) -> rows
-- As `list_entries_backward`, of one subject. Walks audit_entry_subject_idx.
select entry_id, at, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and ($3::text is null or actor = $3)
   and ($4::text is null or action = $4)
   and at >= coalesce($5::timestamptz, '-infinity')
   and at < coalesce($6::timestamptz, 'infinity')
   and (at, entry_id) < (coalesce($7::timestamptz, 'infinity'), coalesce($8::bigint, 9223372036854775807))
   and (at, entry_id) > (coalesce($9::timestamptz, '-infinity'), coalesce($10::bigint, -9223372036854775808))
   and subject_type = $12 and subject_key = $13::text[]
 order by at, entry_id
 limit $11;

-- name: count_entries_of_subject(organization_id, names, actor, action, since, until, subject_type, subject_key) -> value
-- The number of these entries of one subject. Walks audit_entry_subject_idx.
select count(*)
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and ($3::text is null or actor = $3)
   and ($4::text is null or action = $4)
   and at >= coalesce($5::timestamptz, '-infinity')
   and at < coalesce($6::timestamptz, 'infinity')
   and subject_type = $7 and subject_key = $8::text[];
