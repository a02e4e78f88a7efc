-- What the journal says of an identity, and which ended jobs name people, is found by indexes, however much there is of both.

create index change_xids_idx on gateway.change using gin ((xids || former_ids));
create index job_naming_idx on gateway.job (sandbox_id) where status not in ('NEW', 'PROCESSING') and input::jsonb ? 'identities';
