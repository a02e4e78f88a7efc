-- Attributes that were published before partials of their kind get some, by a job that runs at once.

update gateway.job
   set due_at = gateway.now()
 where kind = 'EXPIRE_COMPUTED_PARTIALS' and status = 'NEW';
