-- The log of who changed what.

-- name: record(organization_id, sandbox_id, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id) -> none
-- Adds an entry, as of now. Walks audit_entry_pkey.
insert into gateway.audit_entry (organization_id, sandbox_id, actor, api_key_id, action, subject_type, subject_key, before, after,
                                 correlation_id, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, gateway.now());

-- name: read_entries(organization_id, names, entry_ids) -> rows
-- The entries with these ids that belong to the organization and, unless `names` is null, to its sandboxes of these names. Walks
-- an index of the organization.
select entry_id, at, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and entry_id = any($3::bigint[]);

-- name: list_entries(organization_id, names, actor, action, size) -> rows
-- A page of the entries of the organization and, unless `names` is null, of its sandboxes of these names, by this actor and of this action
-- unless they are null. The times of a filter bound the page as cursors do. Walks audit_entry_at_idx.
select entry_id, at, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and ($3::text is null or actor = $3) and ($4::text is null or action = $4)
   {between}
 order by {order}
 limit $5;

-- name: count_entries(organization_id, names, actor, action, since, until) -> value
-- The number of such entries between two times, the second one exclusive. Walks audit_entry_at_idx.
select count(*)
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and ($3::text is null or actor = $3) and ($4::text is null or action = $4)
   and at >= coalesce($5::timestamptz, '-infinity') and at < coalesce($6::timestamptz, 'infinity');

-- name: list_entries_of_subject(organization_id, names, actor, action, subject_type, subject_key, size) -> rows
-- A page of the entries of one subject, in the same way. Walks audit_entry_subject_idx.
select entry_id, at, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and ($3::text is null or actor = $3) and ($4::text is null or action = $4)
   and subject_type = $5 and subject_key = $6::text[]
   {between}
 order by {order}
 limit $7;

-- name: count_entries_of_subject(organization_id, names, actor, action, since, until, subject_type, subject_key) -> value
-- The number of such entries of one subject. Walks audit_entry_subject_idx.
select count(*)
  from gateway.audit_entry
 where organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))
   and ($3::text is null or actor = $3) and ($4::text is null or action = $4)
   and at >= coalesce($5::timestamptz, '-infinity') and at < coalesce($6::timestamptz, 'infinity')
   and subject_type = $7 and subject_key = $8::text[];
