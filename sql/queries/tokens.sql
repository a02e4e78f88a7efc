-- Revocations of tokens.

-- name: revoke(token_hash, organization_id, expires_at) -> value
-- Revokes the tokens with this hash, and returns it; none where they were revoked before. Walks revocation_pkey.
insert into gateway.revocation (token_hash, organization_id, revoked_at, expires_at)
values ($1, $2, gateway.now(), $3)
on conflict (token_hash) do nothing
returning token_hash;

-- name: drop_expired(organization_id, at) -> none
-- Removes revocations of tokens that had expired by then. Walks revocation_organization_idx.
delete from gateway.revocation
 where organization_id = $1 and expires_at < $2;

-- name: count_revocations(organization_id) -> value
-- The number of the organization's revocations. Walks revocation_organization_idx.
select count(*)
  from gateway.revocation
 where organization_id = $1;

-- name: read_revoked(token_hashes) -> rows
-- Those of the hashes that are revoked. Walks revocation_pkey.
select token_hash
  from gateway.revocation
 where token_hash = any($1::bytea[]);
