-- Tables, columns and kinds of jobs are called what this field calls them.

alter table gateway.cannot rename to unlinked_pair;
alter table gateway.unlinked_pair rename constraint cannot_pkey to unlinked_pair_pkey;
alter table gateway.event_repeat rename to event_resend;
alter table gateway.event_resend rename constraint event_repeat_pkey to event_resend_pkey;
alter index gateway.event_repeat_batch_idx rename to event_resend_batch_idx;
alter table gateway.event_resend rename column named to named_xids;
alter table gateway.identity rename column rung to degree_limit;
alter table gateway.job drop constraint job_kind_known;
update gateway.job set kind = 'regroup_identities' where kind = 'regroup_sandbox';
alter table gateway.job add constraint job_kind_known check (kind in ('materialize_policy', 'regroup_identities', 'abort_batch'));
