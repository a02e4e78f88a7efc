-- Identities that were erased say which of them were of one person, so that a later job ends what a cancelled one has begun.

alter table gateway.identity add column erased_with uuid;
update gateway.identity set erased_with = xid where erased_at is not null;
