-- Events without what they said of erased people take any other body as a repetition, which would bring it back.

alter table gateway.event add column is_redacted boolean not null default false;
alter table gateway.event_resend add column is_redacted boolean not null default false;
