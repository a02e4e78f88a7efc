-- Batches say that they are being emptied, count what is left of them, and are found by their keys.

alter table gateway.batch
  add column last_document_at timestamptz,
  add column created_by       text,
  drop constraint batch_status_known,
  add constraint batch_status_known
      check (status in ('LOADING', 'ACTIVE', 'FAILED', 'ABORTING', 'ABORTED', 'REVERTING', 'REVERTED', 'DELETING', 'DELETED'));

update gateway.batch as b
   set status = 'ABORTING'
 where b.status = 'ABORTED'
   and exists (select from gateway.job as j
                where j.sandbox_id = b.sandbox_id and j.kind = 'ABORT_BATCH' and j.subject = b.batch_id and j.status in ('NEW', 'PROCESSING'));
update gateway.batch set record_count = 0 where status in ('ABORTED', 'REVERTED', 'DELETED');

create unique index batch_key_key on gateway.batch (sandbox_id, dataset_id, key)
  where key is not null and status not in ('ABORTING', 'ABORTED', 'REVERTING', 'REVERTED');
