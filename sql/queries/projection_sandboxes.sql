-- What edges know of a sandbox.

-- name: list_api_keys(sandbox_id, organization_id) -> rows
-- List the hashes of the keys that open the sandbox. Walks api_key_created_idx.
select key_hash, expires_at
  from gateway.api_key
 where organization_id = $2 and revoked_at is null and (sandboxes is null or $1 = any(sandboxes))
   and (expires_at is null or expires_at > (select gateway.now()))
 order by key_hash;

-- name: list_revocations(organization_id) -> rows
-- List what is revoked and has not expired by itself. Walks revocation_organization_idx.
select token_hash, expires_at
  from gateway.revocation
 where organization_id = $1 and (expires_at is null or expires_at > (select gateway.now()))
 order by token_hash;
