-- An export about one person keeps many rows of that person until they are in files.

alter table gateway.export_person add column place integer not null default 0;
alter table gateway.export_person drop constraint export_person_pkey, add primary key (sandbox_id, job_id, profile_id, place);
