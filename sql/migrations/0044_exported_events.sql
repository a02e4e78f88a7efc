-- Exports know how many events each of their identities has. Those under way begin anew, at another instant.

alter table gateway.export_identity add column events bigint not null default 0;
alter table gateway.export_identity drop constraint export_identity_pkey;
alter table gateway.export_identity add primary key (sandbox_id, job_id, xid);

update gateway.job set cursor = null, lease = null where kind = 'EXPORT_PROFILES' and status in ('NEW', 'PROCESSING');
