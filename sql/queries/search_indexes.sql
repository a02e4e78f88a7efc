-- Indexes for searches: what is wanted and what there is. Their making and dropping is in search_indexing.sql.

-- name: list_indexes(sandbox_id) -> rows
-- The indexes of the sandbox by path; at most twenty. `job_id` is that of the open job that makes one. Walks search_index_path_key, and
-- job_open_key for each of them.
select i.index_id, i.policy_id, i.path, i.type, i.is_ready, i.created_at, i.created_by, i.used_at,
       (select j.job_id
          from gateway.job j
         where j.sandbox_id = $1 and j.kind = 'BUILD_SEARCH_INDEX' and j.subject = i.index_id and j.status in ('NEW', 'PROCESSING')) as job_id
  from gateway.search_index i
 where i.sandbox_id = $1
 order by i.path, i.index_id;

-- name: add_index(sandbox_id, index_id, policy_id, path, type, created_by) -> value
-- Add an index that is to be made, and return its id; none if there is one already. Walks search_index_path_key.
insert into gateway.search_index (sandbox_id, index_id, policy_id, path, type, created_at, created_by, used_at)
select $1, $2, $3, $4, $5, stamp, $6, stamp
  from gateway.now() as stamp
    on conflict (sandbox_id, policy_id, path) do nothing
returning index_id;

-- name: delete_index(sandbox_id, index_id) -> value
-- Take an index from the list, and return its id; none if it is gone. Walks search_index_pkey.
delete from gateway.search_index
 where sandbox_id = $1 and index_id = $2
returning index_id;

-- name: delete_unused(sandbox_id, days) -> rows
-- Take the indexes from the list that nothing used for so many days. Walks search_index_pkey.
delete from gateway.search_index
 where sandbox_id = $1 and used_at < (select gateway.now()) - make_interval(secs => $2 * 86400)
returning index_id, policy_id, path;

-- name: note_use(sandbox_id, index_id) -> none
-- Note that an index was used today, unless that is noted. Walks search_index_pkey.
update gateway.search_index
   set used_at = stamp
  from gateway.now() as stamp
 where sandbox_id = $1 and index_id = $2 and used_at < stamp - interval '1 day';

-- name: mark_ready(sandbox_id, index_id) -> none
-- Say that an index is made. Walks search_index_pkey.
update gateway.search_index
   set is_ready = true
 where sandbox_id = $1 and index_id = $2;

-- name: give_up_index(sandbox_id, job_id) -> none
-- Take the index from the list that a job was to make. Walks job_pkey and search_index_pkey.
delete from gateway.search_index
 where sandbox_id = $1 and index_id = (select j.subject from gateway.job j where j.sandbox_id = $1 and j.job_id = $2);
