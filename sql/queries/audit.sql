-- The log of who changed what.

-- name: record(organization_id, sandbox_id, actor, api_key_id, action, subject_type, subject_key, before, after, correlation_id) -> none
-- Adds an entry, as of now. Walks audit_entry_pkey.
insert into gateway.audit_entry (organization_id, sandbox_id, actor, api_key_id, action, subject_type, subject_key, before, after,
                                 correlation_id, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, gateway.now());
