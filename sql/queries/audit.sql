-- The log of who changed what.

-- name: record(organization_id, sandbox_id, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id) -> none
-- Adds an entry, as of now. Walks audit_entry_pkey.
insert into gateway.audit_entry (organization_id, sandbox_id, actor, api_key_id, action, subject_type, subject_key, before, after,
                                 correlation_id, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, gateway.now());

-- name: record_once(organization_id, sandbox_id, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id, seconds) -> none
-- Adds an entry, as of now, unless the same caller did the same to the same subject in the last so many seconds. Walks audit_entry_subject_idx.
insert into gateway.audit_entry (organization_id, sandbox_id, actor, api_key_id, action, subject_type, subject_key, before, after,
                                 correlation_id, at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, stamp
  from gateway.now() as stamp
 where not exists (select from gateway.audit_entry e
                    where e.organization_id = $1 and e.subject_type = $6 and e.subject_key = $7 and e.at > stamp - make_interval(secs => $11)
                      and e.action = $5 and e.actor = $3 and e.api_key_id is not distinct from $4);

-- part: entry
-- What an entry says.
entry_id, at, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id

-- part: covered
-- Entries that belong to the organization and, unless the names are null, to its sandboxes of these names.
organization_id = $1
   and ($2::text[] is null or sandbox_id = any(array(
         select s.sandbox_id from gateway.sandbox s where s.organization_id = $1 and s.name = any($2))))

-- part: passing
-- Those of them by this actor and of this action, unless these are null; `{subject}` is one of the next two parts.
{covered}
   and ($3::text is null or actor = $3) and ($4::text is null or action = $4) and {subject}

-- part: of_subject
-- Entries about one subject.
subject_type = $5 and subject_key = $6::text[]

-- part: of_any
-- Entries about any subject, where none is given: a condition on both cases would have no index.
$5::text is null and $6::text[] is null

-- name: read_entries(organization_id, names, entry_ids) -> rows
-- The entries with these ids that the names cover. Walks an index of the organization.
select {entry}
  from gateway.audit_entry
 where {covered}
   and entry_id = any($3::bigint[]);

-- name: list_entries(organization_id, names, actor, action, subject_type, subject_key, size) -> rows
-- A page of the entries that pass. The times of a filter bound the page as cursors do. Walks audit_entry_at_idx.
select {entry}
  from gateway.audit_entry
 where {passing}
   {between}
 order by {order}
 limit $7;

-- name: count_entries(organization_id, names, actor, action, subject_type, subject_key, since, until) -> value
-- The number of entries that pass between two times, the second one exclusive. Walks audit_entry_at_idx.
select count(*)
  from gateway.audit_entry
 where {passing}
   and at >= coalesce($7::timestamptz, '-infinity') and at < coalesce($8::timestamptz, 'infinity');
