-- The journal of changes. A snapshot tells which transactions had ended, and `seq` is the greatest number of a row that they wrote: a
-- transaction that had no id at that moment draws a greater one later.

-- name: read_present(sandbox_id) -> row
-- Read the present snapshot and the time of the database, since when the journal is kept, and of which history of which database all this is.
-- `begun`: how many ids of transactions were given out from the snapshot's end on; it is looked up after the snapshot was taken.
-- Walks sandbox_pkey, and change_pkey from its end.
select pg_current_snapshot() as snapshot, age(pg_snapshot_xmax(pg_current_snapshot())::xid) as begun, gateway.now() as at, journal_since,
       coalesce((select seq from gateway.change where sandbox_id = $1 order by seq desc limit 1), 0) as seq,
       (select system_identifier from pg_control_system()) as system, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) as timeline,
       (select oid from pg_database where datname = current_database()) as database
  from gateway.sandbox
 where sandbox_id = $1;

-- name: list_unreleased() -> rows
-- The transactions that hold the lock of their own id: they run, or they have ended here and not yet on all nodes of a cluster.
select transactionid as id
  from pg_locks
 where locktype = 'transactionid' and mode = 'ExclusiveLock' and granted;

-- name: read_journal_since(sandbox_id) -> value
-- Read since when the journal is kept. Walks sandbox_pkey.
select journal_since
  from gateway.sandbox
 where sandbox_id = $1;

-- name: read_changes(sandbox_id, since, until, running, since_seq, seq, place, next_seq, next_place, until_seq, by_identity, size) -> rows
-- Read rows of transactions that had ended at `until` and not at `since`, as many as make `size` changes; `weight` is how many a row makes at
-- most. Those of transactions that ran at `since`, from (seq, place) on, may have smaller numbers than others that had ended: they are few,
-- and found by change_tx_idx. All others have greater ones and are walked in the order of change_pkey from (next_seq, next_place) on, so that
-- nothing is sorted however many they are.
select seq, place, kind, profile_id, xids, former_ids, paths, at, weight
  from (select c.*, coalesce(sum(weight) over (order by seq, place rows between unbounded preceding and 1 preceding), 0) as in_front
          from (select c.*, case when $11 or profile_id is null then greatest(cardinality(xids), 1) else 1 end as weight
                  from ((select seq, place, kind, profile_id, xids, former_ids, paths, at
                           from (select *
                                   from gateway.change
                                  where sandbox_id = $1 and tx = any($4::xid8[])
                                 offset 0) c
                          where seq <= $5 and (seq, place) >= ($6, $7) and pg_visible_in_snapshot(tx, $3)
                          order by seq, place
                          limit $12)
                        union all
                        (select seq, place, kind, profile_id, xids, former_ids, paths, at
                           from gateway.change
                          where sandbox_id = $1 and (seq, place) >= ($8, $9) and seq <= $10
                            and not pg_visible_in_snapshot(tx, $2) and pg_visible_in_snapshot(tx, $3)
                          order by seq, place
                          limit $12)
                        order by seq, place
                        limit $12) c) c) c
 where in_front < $12
 order by seq, place;

-- name: read_changes_backward(sandbox_id, until, seq, place, by_identity, size) -> rows
-- Read rows up to (seq, place) of transactions that had ended at `until`, from the last one on, as many as make `size` changes;
-- `weight` is how many a row makes at most. Walks
-- change_pkey backwards.
select seq, place, kind, profile_id, xids, former_ids, paths, at, weight
  from (select c.*, coalesce(sum(weight) over (order by seq desc, place desc rows between unbounded preceding and 1 preceding), 0) as in_front
          from (select seq, place, kind, profile_id, xids, former_ids, paths, at,
                       case when $5 or profile_id is null then greatest(cardinality(xids), 1) else 1 end as weight
                  from gateway.change
                 where sandbox_id = $1 and (seq, place) <= ($3, $4) and pg_visible_in_snapshot(tx, $2)
                 order by seq desc, place desc
                 limit $6) c) c
 where in_front < $6
 order by seq desc, place desc;

-- name: move_journal_since(sandbox_id, days) -> value
-- Say that the journal is kept for so many days from now on, and return since when it is. A time that was said before is never taken back, as
-- rows from before are gone. Walks sandbox_pkey.
update gateway.sandbox
   set journal_since = greatest(journal_since, (select gateway.now()) - make_interval(secs => $2 * 86400))
 where sandbox_id = $1
returning journal_since;

-- name: expire_changes(sandbox_id, before, after_seq, size) -> row
-- Remove the rows of whole calls behind a number, about so many, up to the first call that is not from before a time. Return how many they
-- were, and the greatest number among them. Walks change_pkey.
with oldest as materialized (
       select seq, at
         from gateway.change
        where sandbox_id = $1 and seq > $3
        order by seq, place
        limit $4),
     expired as materialized (
       select min(seq) as first, max(seq) as last
         from oldest
        where seq < coalesce((select min(seq) from oldest where at >= $2), 9223372036854775807)),
     removed as (
       delete from gateway.change
        where sandbox_id = $1 and seq >= (select first from expired) and seq <= (select last from expired)
       returning seq)
select count(*) as removed, max(seq) as seq
  from removed;
