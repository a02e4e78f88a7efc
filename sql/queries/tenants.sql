-- Organizations, sandboxes and API keys.

-- name: create_organization(organization_id, code, name) -> none
-- Creates an organization. Walks organization_code_key.
insert into gateway.organization (organization_id, code, name, created_at)
values ($1, $2, $3, gateway.now());

-- name: read_organization(organization_id) -> row
-- The organization, if it exists. Walks organization_pkey.
select organization_id, code, name
  from gateway.organization
 where organization_id = $1;

-- name: list_organizations() -> rows
-- All organizations, oldest first; there are few.
select organization_id, code, name
  from gateway.organization
 order by created_at, organization_id;

-- name: create_sandbox(organization_id, name, title, type, is_default, secret, text_rules, created_by) -> row
-- Creates a sandbox and returns it. Walks sandbox_name_key.
insert into gateway.sandbox (organization_id, name, title, type, is_default, secret, text_rules, created_by, created_at, updated_at)
select $1, $2, $3, $4, $5, $6, $7, $8, stamp, stamp
  from gateway.now() as stamp
returning sandbox_id, organization_id, name, title, type, is_default, secret, config_version, created_at, text_rules, version, updated_at,
          created_by;

-- name: read_sandbox(organization_id, name) -> row
-- The sandbox of that name, the default one if the name is null. Walks sandbox_name_key or sandbox_default_key.
select sandbox_id, organization_id, name, title, type, is_default, secret, config_version, created_at, text_rules, version, updated_at, created_by
  from gateway.sandbox
 where organization_id = $1 and (name = $2 or $2::text is null and is_default);

-- name: list_sandboxes(organization_id) -> rows
-- All sandboxes of the organization by name; at most 75.
select sandbox_id, organization_id, name, title, type, is_default, secret, config_version, created_at, text_rules, version, updated_at, created_by
  from gateway.sandbox
 where organization_id = $1
 order by name;

-- name: read_sandboxes(sandbox_ids, organization_id) -> rows
-- The sandboxes with these ids that belong to the organization. Walks sandbox_pkey.
select sandbox_id, organization_id, name, title, type, is_default, secret, config_version, created_at, text_rules, version, updated_at, created_by
  from gateway.sandbox
 where sandbox_id = any($1::bigint[]) and organization_id = $2;

-- name: take_sandbox(sandbox_id) -> row
-- Deletes the sandbox with, by foreign keys, all of its configuration, and returns it. Walks sandbox_pkey.
delete from gateway.sandbox
 where sandbox_id = $1
returning sandbox_id, organization_id, name, title, type, is_default, secret, config_version, created_at, text_rules, version, updated_at,
          created_by;

-- name: restore_sandbox(sandbox_id, organization_id, name, title, type, is_default, secret, config_version, created_at, text_rules, version, created_by) -> row
-- Inserts a sandbox that was deleted, under its former id and without an expiry, and returns it. Walks sandbox_pkey and sandbox_name_key.
insert into gateway.sandbox (sandbox_id, organization_id, name, title, type, is_default, secret, config_version, created_at, text_rules,
                             version, created_by, updated_at)
overriding system value
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, gateway.now())
returning sandbox_id, organization_id, name, title, type, is_default, secret, config_version, created_at, text_rules, version, updated_at,
          created_by;

-- name: update_sandbox(sandbox_id, title, expiry_days, expiry_namespaces) -> row
-- Changes the sandbox and returns it. Walks sandbox_pkey.
update gateway.sandbox
   set title = $2, expiry_days = $3, expiry_namespaces = $4, version = version + 1, updated_at = gateway.now()
 where sandbox_id = $1
returning sandbox_id, organization_id, name, title, type, is_default, secret, config_version, created_at, text_rules, version, updated_at,
          created_by;

-- name: list_expiries(sandbox_ids, organization_id, names) -> rows
-- The namespaces whose people expire in these sandboxes, and after how many days, if the sandboxes are the organization's and, unless
-- `names` is null, have one of these names. Walks sandbox_pkey and namespace_pkey.
select s.expiry_days, n.sandbox_id, n.namespace_id, n.code, n.name, n.description, n.id_type, n.normalization, n.is_custom, n.priority,
       n.is_unique_per_graph, n.version, n.created_at, n.updated_at, n.created_by
  from gateway.sandbox s
  join gateway.namespace n on n.sandbox_id = s.sandbox_id and n.namespace_id = any(s.expiry_namespaces)
 where s.sandbox_id = any($1::bigint[]) and s.organization_id = $2 and ($3::text[] is null or s.name = any($3))
 order by s.sandbox_id, n.namespace_id;

-- name: lock_organization(organization_id) -> value
-- Locks the organization against concurrent creation of things whose number is limited. Returns its id; none if it is gone. Walks
-- organization_pkey.
select organization_id
  from gateway.organization
 where organization_id = $1
   for no key update;

-- name: count_sandboxes(organization_id) -> value
-- The number of sandboxes of the organization. Walks sandbox_name_key.
select count(*)
  from gateway.sandbox
 where organization_id = $1;

-- name: lock_configuration(sandbox_id) -> value
-- Locks the sandbox against other changes of its configuration, and returns the new version, by which caches learn that they are stale;
-- none once the sandbox is gone. Walks sandbox_pkey.
update gateway.sandbox
   set config_version = config_version + 1
 where sandbox_id = $1
returning config_version;

-- name: read_key_owner(sandbox_id) -> row
-- The sandbox and its organization. Walks sandbox_pkey and organization_pkey.
select o.organization_id, o.code, o.name as organization, s.sandbox_id, s.name, s.title, s.type, s.is_default, s.secret,
       s.config_version, s.created_at, s.text_rules, s.version, s.updated_at, s.created_by
  from gateway.sandbox s
  join gateway.organization o on o.organization_id = s.organization_id
 where s.sandbox_id = $1;

-- name: delete_sandbox(organization_id, sandbox_id) -> value
-- Deletes the sandbox and returns its id; none if it is the default one or of another organization. Walks sandbox_pkey.
delete from gateway.sandbox
 where sandbox_id = $2 and organization_id = $1 and not is_default
returning sandbox_id;

-- name: authenticate(key_hashes, organization_ids, names, token_hashes) -> rows
-- The keys with these hashes that are not revoked, each with its organization, if that is in the list, and each sandbox there that has one of
-- the names or is the default one; nulls for what is missing. Beside each, the names of the sandboxes that the key is bound to, null for a key
-- that is bound to none; and whether one of the token hashes is revoked, the same in every row: to ask for which ones would make the cost of
-- this statement depend on their number, so that it is planned anew each time. Walks api_key_pkey, organization_pkey, sandbox_name_key and
-- revocation_pkey.
select k.key_hash, k.api_key_id, k.expires_at,
       case when k.sandboxes is not null then
         (select coalesce(string_agg(b.name, ' '), '') from gateway.sandbox b where b.sandbox_id = any(k.sandboxes))
       end as bound_to,
       exists (select from gateway.revocation r where r.token_hash = any($4::bytea[])) as has_revoked,
       o.organization_id, o.code, o.name as organization, s.sandbox_id, s.name, s.title, s.type, s.is_default, s.secret,
       s.config_version, s.created_at, s.text_rules, s.version, s.updated_at, s.created_by
  from gateway.api_key k
  left join gateway.organization o on o.organization_id = k.organization_id and o.organization_id = any($2::uuid[])
  left join gateway.sandbox s on s.organization_id = o.organization_id and (s.name = any($3::text[]) or s.is_default)
 where k.key_hash = any($1::bytea[]) and k.revoked_at is null;

-- name: empty_identity(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.identity
 where sandbox_id = $1;

-- name: empty_identity_of_erased(sandbox_id) -> none
-- Removes a sandbox's identities when it is reset: erased ones stay without their values. Walks the sandbox_id of its key.
with emptied as (
  update gateway.identity set value = null, profile_id = null, degree_limit = default, has_events = default where sandbox_id = $1 and erased_at is not null
)
delete from gateway.identity
 where sandbox_id = $1 and erased_at is null;

-- name: empty_graph(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.graph
 where sandbox_id = $1;

-- name: empty_tie(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.tie
 where sandbox_id = $1;

-- name: empty_unlinked_pair(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.unlinked_pair
 where sandbox_id = $1;

-- name: empty_record(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.record
 where sandbox_id = $1;

-- name: empty_fragment(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.fragment
 where sandbox_id = $1;

-- name: empty_profile(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.profile
 where sandbox_id = $1;

-- name: empty_computed_partial(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.computed_partial
 where sandbox_id = $1;

-- name: empty_kept_value(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.kept_value
 where sandbox_id = $1;

-- name: empty_export_person(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.export_person
 where sandbox_id = $1;

-- name: empty_export_file(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.export_file
 where sandbox_id = $1;

-- name: empty_export_identity(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.export_identity
 where sandbox_id = $1;

-- name: empty_event(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.event
 where sandbox_id = $1;

-- name: empty_event_resend(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.event_resend
 where sandbox_id = $1;

-- name: empty_change(sandbox_id) -> none
-- Removes a sandbox's rows of this table, when the sandbox goes. Walks the sandbox_id of its key.
delete from gateway.change
 where sandbox_id = $1;
