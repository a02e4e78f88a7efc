-- Batches count the facts of them that are stored: versions of records, repeated ones, too, or events.

-- Before, a version that changed nothing when it came did not count, and was subtracted nevertheless when it went.

update gateway.batch as b
   set record_count = (select count(*) from gateway.record as r where r.sandbox_id = b.sandbox_id and r.batch_id = b.batch_id)
                    + (select count(*) from gateway.event as e where e.sandbox_id = b.sandbox_id and e.batch_id = b.batch_id)
 where b.status not in ('ABORTED', 'REVERTED', 'DELETED');
