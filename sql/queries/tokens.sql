-- Revocations of tokens, and the public keys by which tokens of ours are verified.

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

-- name: keep_public_keys(key_ids, public_keys) -> none
-- Stores public keys of our own, unless they are there. Walks signing_key_pkey.
insert into gateway.signing_key (key_id, public_key, created_at)
select given.key_id, given.public_key, gateway.now()
  from unnest($1::text[], $2::bytea[]) as given (key_id, public_key)
on conflict (key_id) do nothing;

-- name: list_public_keys() -> rows
-- All public keys of our own by the ids of their keys; there are few.
select key_id, public_key
  from gateway.signing_key
 order by key_id;

-- name: forget_public_key(key_id) -> none
-- Forgets the public key of a key that signs no more. Walks signing_key_pkey.
delete from gateway.signing_key
 where key_id = $1;
