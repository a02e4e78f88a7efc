-- ingest_errors.list_errors
select e.batch_id, e.ordinal, e.index, e.paths, e.codes, e.messages, e.document
  from gateway.batch b
 cross join lateral (
       select *
         from gateway.ingest_error e
        where e.sandbox_id = $1 and e.batch_id = b.batch_id and ($3::text[] is null or e.codes && $3)
          
        order by e.ordinal asc
        limit $4) e
 where b.sandbox_id = $1 and b.batch_id = any($2::uuid[])
 order by e.ordinal asc;
