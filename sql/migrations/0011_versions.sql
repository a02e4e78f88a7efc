-- All configuration has a version, the time of its last change, and who made it; sandboxes and datasets say how long they keep what.

alter table gateway.sandbox
  add column version integer not null default 1,
  add column updated_at timestamptz,
  add column created_by text,
  add column expiry_days integer,
  add column expiry_namespaces integer[];
update gateway.sandbox set updated_at = created_at;
alter table gateway.sandbox alter column updated_at set not null;

alter table gateway.namespace
  add column version integer not null default 1,
  add column updated_at timestamptz,
  add column created_by text;
update gateway.namespace set updated_at = created_at;
alter table gateway.namespace alter column updated_at set not null;

create table gateway.identity_settings (
  sandbox_id bigint primary key references gateway.sandbox on delete cascade,
  version    integer not null default 1,
  updated_at timestamptz,
  updated_by text
);
insert into gateway.identity_settings (sandbox_id)
select sandbox_id
  from gateway.sandbox;

alter table gateway.xdm_schema
  add column updated_at timestamptz,
  add column created_by text;
update gateway.xdm_schema set updated_at = created_at;
alter table gateway.xdm_schema alter column updated_at set not null;

alter table gateway.dataset
  add column event_retention_days integer,
  add column version integer not null default 1,
  add column updated_at timestamptz,
  add column created_by text;
update gateway.dataset set updated_at = created_at;
alter table gateway.dataset alter column updated_at set not null;

alter table gateway.merge_policy
  add column created_by text;
