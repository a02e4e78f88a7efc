-- What an edge knows of sandboxes: their keys, namespaces and credentials.

-- name: put_sandbox(sandbox_id, organization_id, name, is_default, key, text_rules, digest) -> none
-- Store a sandbox, or what changed of it.
with noticed as (
  update edge.configuration
     set settings_version = pg_current_xact_id()::text::bigint
   where sandbox_id = $1
)
insert into edge.sandbox (sandbox_id, organization_id, name, is_default, key, text_rules, digest, settings_version)
values ($1, $2, $3, $4, $5, $6, $7, pg_current_xact_id()::text::bigint)
on conflict (sandbox_id) do update
   set organization_id = excluded.organization_id, name = excluded.name, is_default = excluded.is_default, key = excluded.key,
       text_rules = excluded.text_rules, digest = excluded.digest, settings_version = excluded.settings_version;

-- name: replace_namespaces(sandbox_id, namespace_ids, codes, normalizations) -> none
-- Replace the namespaces of a sandbox.
with gone as (
  delete from edge.namespace
   where sandbox_id = $1
     and namespace_id <> all ($2::integer[])
)
insert into edge.namespace (sandbox_id, namespace_id, code, normalization)
select $1, * from unnest($2::integer[], $3::text[], $4::text[])
on conflict (sandbox_id, namespace_id) do update
   set code = excluded.code, normalization = excluded.normalization;

-- name: replace_api_keys(sandbox_id, key_hashes, expiries) -> none
-- Replace the API keys of a sandbox.
with gone as (
  delete from edge.api_key
   where sandbox_id = $1
     and key_hash <> all ($2::bytea[])
)
insert into edge.api_key (sandbox_id, key_hash, expires_at)
select $1, * from unnest($2::bytea[], $3::timestamptz[])
on conflict (sandbox_id, key_hash) do update
   set expires_at = excluded.expires_at;

-- name: replace_signing_keys(sandbox_id, key_ids, public_keys) -> none
-- Replace the public keys of a sandbox.
with gone as (
  delete from edge.signing_key
   where sandbox_id = $1
     and key_id <> all ($2::text[])
)
insert into edge.signing_key (sandbox_id, key_id, public_key)
select $1, * from unnest($2::text[], $3::bytea[])
on conflict (sandbox_id, key_id) do update
   set public_key = excluded.public_key;

-- name: replace_issuers(sandbox_id, issuers, audiences, algorithms, leeways, keys) -> none
-- Replace the issuers of a sandbox. `algorithms` of each are separated by blanks; where keys are null, those stay that are known.
with gone as (
  delete from edge.issuer
   where sandbox_id = $1
     and issuer <> all ($2::text[])
)
insert into edge.issuer as i (sandbox_id, issuer, audience, algorithms, leeway, keys)
select $1, issuer, audience, string_to_array(algorithms, ' '), leeway, keys
  from unnest($2::text[], $3::text[], $4::text[], $5::float8[], $6::text[]) as given (issuer, audience, algorithms, leeway, keys)
on conflict (sandbox_id, issuer) do update
   set audience = excluded.audience, algorithms = excluded.algorithms, leeway = excluded.leeway, keys = coalesce(excluded.keys, i.keys);

-- name: replace_revocations(sandbox_id, token_hashes, expiries) -> none
-- Replace the revocations of a sandbox.
with gone as (
  delete from edge.revocation
   where sandbox_id = $1
     and token_hash <> all ($2::bytea[])
)
insert into edge.revocation (sandbox_id, token_hash, expires_at)
select $1, * from unnest($2::bytea[], $3::timestamptz[])
on conflict (sandbox_id, token_hash) do update
   set expires_at = excluded.expires_at;

-- name: list_sandboxes() -> rows
-- List all sandboxes of the edge.
select sandbox_id, organization_id, name, is_default, settings_version, digest, cursor, heard_at
  from edge.sandbox
 order by sandbox_id;

-- name: is_heard(sandbox_id, seconds) -> value
-- Whether the hub was heard within so many seconds; null for a sandbox that is not here, or of which it was not yet.
select heard_at > now() - make_interval(secs => $2::float8)
  from edge.sandbox
 where sandbox_id = $1;

-- name: read_settings(sandbox_id) -> row
-- Read a sandbox with all that is known of it but people, as one row. Walks primary keys.
select s.sandbox_id, s.organization_id, s.name, s.is_default, s.key, s.text_rules, s.digest, s.settings_version,
       array(select row(namespace_id, code, normalization) from edge.namespace where sandbox_id = $1) as namespaces,
       array(select row(key_hash, expires_at) from edge.api_key where sandbox_id = $1) as api_keys,
       array(select row(key_id, public_key) from edge.signing_key where sandbox_id = $1) as signing_keys,
       array(select row(issuer, audience, algorithms, leeway, keys) from edge.issuer where sandbox_id = $1) as issuers,
       array(select row(token_hash, expires_at) from edge.revocation where sandbox_id = $1) as revocations,
       array(select row(configuration_id, edition, name, replication_policy, ttl, events_within)
               from edge.configuration where sandbox_id = $1) as configurations
  from edge.sandbox s
 where s.sandbox_id = $1;

-- name: note_cursor(sandbox_id, cursor) -> none
-- Note up to where changes of people were delivered.
update edge.sandbox
   set cursor = $2, heard_at = now()
 where sandbox_id = $1;

-- name: confirm(sandbox_id, configuration_ids, lag) -> none
-- Note of configurations that what the hub had committed so many seconds ago is served. It never goes back.
update edge.configuration
   set confirmed_at = greatest(confirmed_at, now() - make_interval(secs => $3::float8))
 where sandbox_id = $1
   and configuration_id = any ($2::uuid[]);

-- name: drop_people(sandbox_id, limit) -> value
-- Drop some projections, identities and wishes of a sandbox, and return how many went. Walks primary keys.
with projections as (
  delete from edge.projection
   where ctid = any (array(select ctid from edge.projection where sandbox_id = $1 limit $2))
  returning 1
), identities as (
  delete from edge.identity
   where ctid = any (array(select ctid from edge.identity where sandbox_id = $1 limit $2))
  returning 1
), wishes as (
  delete from edge.wanted
   where ctid = any (array(select ctid from edge.wanted where sandbox_id = $1 limit $2))
  returning 1
)
select (select count(*) from projections) + (select count(*) from identities) + (select count(*) from wishes);

-- name: drop_sandbox(sandbox_id) -> none
-- Drop a sandbox with what is known of it.
delete from edge.sandbox
 where sandbox_id = $1;
