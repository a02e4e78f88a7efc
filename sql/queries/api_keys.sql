-- API keys.

-- name: create_api_key(api_key_id, key_hash, organization_id, name, prefix, sandboxes, expires_at, created_by) -> row
-- Stores the hash of a key and returns the key's row; none where the hash is stored already. Walks api_key_pkey.
insert into gateway.api_key (api_key_id, key_hash, organization_id, name, prefix, sandboxes, expires_at, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, gateway.now())
on conflict (key_hash) do nothing
returning api_key_id, name, prefix, sandboxes, expires_at, created_at, created_by, last_used_at, revoked_at;

-- name: count_api_keys(organization_id) -> value
-- The number of keys of the organization that are not revoked. Walks api_key_created_idx.
select count(*)
  from gateway.api_key
 where organization_id = $1 and revoked_at is null;

-- name: read_owner(key_hash) -> row
-- The organization of a stored key, and when it was revoked. Walks api_key_pkey.
select organization_id, revoked_at
  from gateway.api_key
 where key_hash = $1;

-- name: read_api_keys(organization_id, covered, api_key_ids) -> rows
-- The keys of the organization with these ids that open one of the covered sandboxes, or all where `covered` is null. Walks api_key_id_key.
select api_key_id, name, prefix, sandboxes, expires_at, created_at, created_by, last_used_at, revoked_at
  from gateway.api_key
 where organization_id = $1 and ($2::bigint[] is null or sandboxes is null or sandboxes && $2) and api_key_id = any($3::uuid[]);

-- name: list_api_keys(organization_id, covered, size) -> rows
-- A page of the keys, revoked ones included, that open one of the covered sandboxes, or of all where `covered` is null. Walks
-- api_key_created_idx.
select api_key_id, name, prefix, sandboxes, expires_at, created_at, created_by, last_used_at, revoked_at
  from gateway.api_key
 where organization_id = $1 and ($2::bigint[] is null or sandboxes is null or sandboxes && $2)
   {between}
 order by {order}
 limit $3;

-- name: count_listed(organization_id, covered) -> value
-- The number of these keys. Walks api_key_created_idx.
select count(*)
  from gateway.api_key
 where organization_id = $1 and ($2::bigint[] is null or sandboxes is null or sandboxes && $2);

-- name: lock_api_key(organization_id, api_key_id) -> row
-- The key, locked until the transaction ends; none where the organization has no such key. Walks api_key_id_key.
select api_key_id, name, prefix, sandboxes, expires_at, created_at, created_by, last_used_at, revoked_at
  from gateway.api_key
 where organization_id = $1 and api_key_id = $2
   for update;

-- name: revoke_api_key(organization_id, api_key_id) -> value
-- Revokes the key as of now, and returns that time. Walks api_key_id_key.
update gateway.api_key
   set revoked_at = gateway.now()
 where organization_id = $1 and api_key_id = $2
returning revoked_at;

-- name: note_use(api_key_id, at, before) -> none
-- Notes that the key was used at that time, unless a use after `before` is noted already. Walks api_key_id_key.
update gateway.api_key
   set last_used_at = $2
 where api_key_id = $1 and (last_used_at is null or last_used_at < $3);
