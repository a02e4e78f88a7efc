-- The role of hubs, which may write what is delivered, and nothing else.

-- name: create_role() -> none
-- Create the role unless the server has it.
do $$ begin
  if not exists (select from pg_roles where rolname = 'gateway_hub') then
    create role gateway_hub login;
  end if;
end $$;

-- name: remember_password(password) -> value
-- Remember a password until the transaction ends, for the next statement, which takes no parameter.
select set_config('edge.password', $1, true);

-- name: set_password() -> none
-- Give the role the password that was remembered.
do $$ begin
  execute format('alter role gateway_hub password %L', current_setting('edge.password'));
end $$;

-- name: allow_deliveries() -> none
-- Allow the role what deliveries need, if the server has it.
do $$ begin
  if exists (select from pg_roles where rolname = 'gateway_hub') then
    grant usage on schema edge to gateway_hub;
    grant select on edge.migration, edge.data_center, edge.wanted to gateway_hub;
    grant update (hub, fence) on edge.data_center to gateway_hub;
    grant delete on edge.wanted to gateway_hub;
    grant select, insert, update, delete
       on edge.sandbox, edge.namespace, edge.api_key, edge.signing_key, edge.issuer, edge.revocation, edge.configuration, edge.fill, edge.projection, edge.identity
       to gateway_hub;
  end if;
end $$;
