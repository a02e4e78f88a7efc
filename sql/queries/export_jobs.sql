-- Exports: what they have read and are yet to write, whom they hold, and the files that they wrote.

-- part: with_identities
-- The exports that hold identities, as an array. Skips through export_identity_pkey, one step for each.
array(with recursive held as (
        select (select x.job_id from gateway.export_identity as x where x.sandbox_id = $1 order by x.job_id limit 1) as job_id
         union all
        select (select x.job_id from gateway.export_identity as x where x.sandbox_id = $1 and x.job_id > h.job_id order by x.job_id limit 1)
          from held as h
         where h.job_id is not null
      )
      select job_id from held where job_id is not null)

-- part: is_over
-- Whether nobody is to read a file `f` any more at a time: it was withdrawn, its time is over, or its export `j` is gone or ended before it was complete.
(f.is_withdrawn or j.job_id is null or j.status in ('FAILED', 'CANCELLED')
 or j.status = 'COMPLETED' and (j.cursor ->> 'expires_at')::timestamptz <= {at})

-- name: read_exports(sandbox_id, job_ids) -> rows
-- How far these exports are, with their files that are whole and may be read. Walks job_pkey and export_file_pkey.
select j.job_id, j.cursor,
       (select json_agg(json_build_object('path', f.path, 'rows', f.rows, 'bytes', f.bytes, 'sha256', f.sha256) order by f.path)
          from gateway.export_file as f
         where f.sandbox_id = $1 and f.job_id = j.job_id and f.sha256 is not null and not {is_over}) as files
  from gateway.job as j
 where j.sandbox_id = $1 and j.job_id = any($2::uuid[]);

-- name: count_open(sandbox_id) -> value
-- How many exports have not ended. Walks job_open_key.
select count(*)
  from gateway.job
 where sandbox_id = $1 and kind = 'EXPORT_PROFILES' and status in ('NEW', 'PROCESSING');

-- name: hold_policy(sandbox_id, policy_id, version) -> value
-- The policy's id if it has this version; it is not deleted before the transaction ends. Walks merge_policy_pkey.
select policy_id
  from gateway.merge_policy
 where sandbox_id = $1 and policy_id = $2 and version = $3
   for key share;

-- name: delete_export(sandbox_id, job_id) -> value
-- Remove an export that has ended, and return its id. Walks job_pkey.
delete from gateway.job
 where sandbox_id = $1 and job_id = $2 and kind = 'EXPORT_PROFILES' and status not in ('NEW', 'PROCESSING')
returning job_id;

-- name: find_file(sandbox_id, job_id, path) -> row
-- Where a file is, and whether it may still be read. Walks export_file_pkey and job_pkey.
select f.folder, f.bytes, f.sha256, f.sha256 is not null and not {is_over} as may_be_read
  from gateway.export_file as f
  left join gateway.job as j on j.sandbox_id = $1 and j.job_id = $2
 where f.sandbox_id = $1 and f.job_id = $2 and f.path = $3;

-- name: begin_file(sandbox_id, job_id, lease, path, folder, is_of_events) -> value
-- Note a file before it is begun, so that it is known whatever becomes of it, and return its name; none where the worker has the job no more. One of
-- the same name, of an attempt that was killed, is replaced by it. Walks job_pkey.
insert into gateway.export_file (sandbox_id, job_id, path, folder, is_of_events)
select $1, j.job_id, $4, $5, $6
  from gateway.job as j
 where j.sandbox_id = $1 and j.job_id = $2 and j.lease = $3
   for share
    on conflict (sandbox_id, job_id, path) do update set folder = excluded.folder, first_key = null, last_key = null, sha256 = null, is_withdrawn = false
returning path;

-- name: finish_file(sandbox_id, job_id, path, first_key, last_key, rows, bytes, sha256) -> none
-- Note that a file is whole. Walks export_file_pkey.
update gateway.export_file
   set first_key = $4, last_key = $5, rows = $6, bytes = $7, sha256 = $8
 where sandbox_id = $1 and job_id = $2 and path = $3;

-- name: list_files_of(sandbox_id, job_ids) -> rows
-- The folders of the files of these exports, of each file one. Walks export_file_pkey.
select folder
  from gateway.export_file
 where sandbox_id = $1 and job_id = any($2::uuid[]);

-- name: list_files(sandbox_id, job_id) -> rows
-- The files of an export, those included that were withdrawn or only begun. Walks export_file_pkey.
select job_id, path, folder
  from gateway.export_file
 where sandbox_id = $1 and job_id = $2;

-- name: list_due_files(sandbox_id, at, size) -> rows
-- Files that nobody is to read any more. Walks export_file_pkey and job_pkey.
select f.job_id, f.path, f.folder
  from gateway.export_file as f
  left join gateway.job as j on j.sandbox_id = $1 and j.job_id = f.job_id
 where f.sandbox_id = $1
   and {is_over}
 order by f.job_id, f.path
 limit $3;

-- name: remove_files(sandbox_id, job_ids, paths) -> none
-- Forget files that are gone. Walks export_file_pkey.
delete from gateway.export_file as f
 using unnest($2::uuid[], $3::text[]) as gone(job_id, path)
 where f.sandbox_id = $1 and f.job_id = gone.job_id and f.path = gone.path;

-- name: keep_people(sandbox_id, job_id, profile_ids, documents, xids, owners, events) -> none
-- Keep what an export has read of some people: the document of each on a line; their identities, whose they are, and how many events each has.
with people as (
  insert into gateway.export_person (sandbox_id, job_id, profile_id, document)
  select $1, $2, p.profile_id, p.document
    from unnest($3::uuid[], string_to_array($4::text, E'\n')) as p(profile_id, document)
)
insert into gateway.export_identity (sandbox_id, job_id, xid, profile_id, events)
select $1, $2, x.xid, x.profile_id, x.events
  from unnest($5::uuid[], $6::uuid[], $7::bigint[]) as x(xid, profile_id, events);

-- name: keep_next_people(sandbox_id, policy_id, version, after, before, size, have_records, since, until, job_id, have_events) -> row
-- Keep one JSON text of each of the next people between two ids, as a policy keeps them, and their identities with how many events each has: of those who
-- have records, or may have none, and were last modified when they should. All of it in Postgres, so that no text leaves it. Nobody is kept unless all are
-- told so. Return whether they are, the last who was looked at, null if nobody was left, and of those who were kept how many they are, also by namespaces,
-- their events and bytes. Walks graph_pkey, then profile_pkey once for each, and event_timeline_idx once for each identity with events.
with page as materialized (
     select ({is_current}) is true as is_told, g.profile_id, g.xids, g.event_xids, g.identity_map, {text} as text,
            ($7 is false or p.modified_at is not null)
            and ($8::timestamptz is null and $9::timestamptz is null
                 or {modified_at} >= coalesce($8, '-infinity') and {modified_at} < coalesce($9, 'infinity')) as is_wanted
       from gateway.graph g
      cross join lateral (select g.profile_id, $2::uuid as policy_id, $3::integer as version, true as is_found) person
       {profile}
      where g.sandbox_id = $1 and g.profile_id > $4 and g.profile_id < $5
      order by g.profile_id
      limit $6),
     looked_at as materialized (
     select coalesce(bool_and(is_told), true) as is_told, (array_agg(profile_id order by profile_id desc))[1] as last
       from page),
     wanted as not materialized (
     select page.*
       from page
      cross join looked_at
      where page.is_wanted and looked_at.is_told),
     member as materialized (
     select m.xid, wanted.profile_id,
            case when $11 and m.xid = any(wanted.event_xids)
                 then (select count(*) from gateway.event e where e.sandbox_id = $1 and e.xid = m.xid {events})
                 else 0 end as events
       from wanted
      cross join unnest(wanted.xids) as m(xid)
      order by m.xid),
     people as (
     insert into gateway.export_person (sandbox_id, job_id, profile_id, document)
     select $1, $10, profile_id, text
       from wanted),
     identities as (
     insert into gateway.export_identity (sandbox_id, job_id, xid, profile_id, events)
     select $1, $10, xid, profile_id, events
       from member)
select looked_at.is_told, looked_at.last, kept.people, kept.bytes,
       (select coalesce(sum(events), 0)::bigint from member) as events,
       (select json_object_agg(named.namespace, named.people)
          from (select key as namespace, count(*) as people
                  from wanted
                 cross join json_object_keys(wanted.identity_map) as key
                 group by key) as named) as by_namespace
  from looked_at
 cross join (select count(*) as people, coalesce(sum(octet_length(text)), 0)::bigint as bytes from wanted) as kept;

-- name: read_people(sandbox_id, job_id, after, size, bytes) -> row
-- The next people of an export as lines of JSON: as many as have so many bytes together, one at least. And how many there are, the first of them and
-- the last. Walks export_person_pkey.
select count(*) as rows, (array_agg(profile_id order by profile_id))[1] as first, (array_agg(profile_id order by profile_id desc))[1] as last,
       string_agg(convert_to('{"profileId":"' || profile_id || '"', 'UTF8')
                  || case document when '{}' then '}' else convert_to(',', 'UTF8') || substring(convert_to(document, 'UTF8') from 2) end,
                  '\x0a' order by profile_id) as lines
  from (select profile_id, document,
               sum(octet_length(document)) over (order by profile_id rows between unbounded preceding and 1 preceding) as before
          from (select profile_id, document
                  from gateway.export_person
                 where sandbox_id = $1 and job_id = $2 and profile_id > $3
                 order by profile_id
                 limit $4) as p) as p
 where coalesce(before, 0) < $5;

-- name: read_subject(sandbox_id, job_id, subject, after, size, bytes) -> row
-- The next rows of an export about one person as lines of JSON, as `read_people` does. Walks export_person_pkey.
select count(*) as rows, max(place) as last, string_agg(convert_to(document, 'UTF8'), '\x0a' order by place) as lines
  from (select place, document,
               sum(octet_length(document)) over (order by place rows between unbounded preceding and 1 preceding) as before
          from (select place, document
                  from gateway.export_person
                 where sandbox_id = $1 and job_id = $2 and profile_id = $3 and place > $4
                 order by place
                 limit $5) as p) as p
 where coalesce(before, 0) < $6;

-- name: count_arrivals() -> value
-- How often something was ingested into any sandbox; of thousands that come in at once, it is once.
select last_value
  from gateway.arrival;

-- name: has_people(sandbox_id, job_id) -> value
-- Whether what an export has read is there. Walks export_person_pkey.
select exists (select
                 from gateway.export_person
                where sandbox_id = $1 and job_id = $2);

-- name: list_identities(sandbox_id, job_id, after, size, events) -> rows
-- The next identities that an export holds and that have events, with the people whose they are in it: as many as have so many events together, one at
-- least. Walks export_identity_pkey.
select xid, profile_id
  from (select xid, profile_id, sum(events) over (order by xid rows between unbounded preceding and 1 preceding) as before
          from (select xid, profile_id, events
                  from gateway.export_identity
                 where sandbox_id = $1 and job_id = $2 and xid > $3 and events > 0
                 order by xid
                 limit $4) as x) as x
 where coalesce(before, 0) < $5
 order by xid;

-- name: empty_people(sandbox_id, job_id, size) -> rows
-- Remove up to so many rows of what an export has read: those up to the last of them, as a join would look for each among all. Walks export_person_pkey.
delete from gateway.export_person
 where sandbox_id = $1 and job_id = $2
   and (profile_id, place) <= (select last.profile_id, last.place
                                  from (select profile_id, place
                                          from gateway.export_person
                                         where sandbox_id = $1 and job_id = $2
                                         order by profile_id, place
                                         limit $3) as last
                                 order by last.profile_id desc, last.place desc
                                 limit 1)
returning profile_id;

-- name: empty_identities(sandbox_id, job_id, size) -> rows
-- Forget up to so many identities that an export held. Walks export_identity_pkey.
delete from gateway.export_identity
 where sandbox_id = $1 and job_id = $2
   and xid <= coalesce((select xid from gateway.export_identity where sandbox_id = $1 and job_id = $2 order by xid offset $3 - 1 limit 1),
                       'ffffffff-ffff-ffff-ffff-ffffffffffff')
returning xid;

-- name: list_spooled(sandbox_id) -> rows
-- The exports that have ended, or are gone, and still hold what they have read. Skips through export_person_pkey, one step for each export.
with recursive spooled as (
  select (select p.job_id from gateway.export_person as p where p.sandbox_id = $1 order by p.job_id limit 1) as job_id
   union all
  select (select p.job_id from gateway.export_person as p where p.sandbox_id = $1 and p.job_id > s.job_id order by p.job_id limit 1)
    from spooled as s
   where s.job_id is not null
)
select s.job_id
  from spooled as s
  left join gateway.job as j on j.sandbox_id = $1 and j.job_id = s.job_id
 where s.job_id is not null and (j.job_id is null or j.status not in ('NEW', 'PROCESSING'));

-- name: list_with_identities(sandbox_id) -> value
-- The exports that hold identities, as an array. Skips through export_identity_pkey, one step for each.
select {with_identities};

-- name: list_unfiled(sandbox_id) -> rows
-- The exports that have ended, or are gone, and whose files are gone, too, but not yet the identities that these held. Skips through
-- export_identity_pkey, one step for each export.
select h.job_id
  from unnest({with_identities}) as h(job_id)
  left join gateway.job as j on j.sandbox_id = $1 and j.job_id = h.job_id
 where (j.job_id is null or j.status not in ('NEW', 'PROCESSING'))
   and not exists (select from gateway.export_file as f where f.sandbox_id = $1 and f.job_id = h.job_id);

-- name: list_known(sandbox_id, job_ids) -> rows
-- Those of these exports that have a job, or files. Walks job_pkey and export_file_pkey.
select k.job_id
  from unnest($2::uuid[]) as k(job_id)
 where exists (select from gateway.job as j where j.sandbox_id = $1 and j.job_id = k.job_id)
    or exists (select from gateway.export_file as f where f.sandbox_id = $1 and f.job_id = k.job_id);

-- part: holds
-- Whether a file `f` holds somebody under one of these identities: of people by their ids, of events by the identities themselves.
f.sandbox_id = $1 and not f.is_withdrawn
   and exists (select
                 from gateway.export_identity as x
                where x.sandbox_id = $1 and x.job_id = f.job_id and x.xid = any($2::uuid[])
                  and case when f.is_of_events then x.xid else x.profile_id end between f.first_key and f.last_key)

-- name: list_files_of_people(sandbox_id, xids) -> rows
-- List the folders of the files that may be read and hold somebody under these identities, of each file one. Walks export_file_pkey, and
-- export_identity_pkey once for each file.
select f.folder
  from gateway.export_file as f
 where {holds};

-- name: withdraw_files(sandbox_id, xids) -> rows
-- Let nobody read these files any more. Walks export_file_pkey, and export_identity_pkey once for each file.
update gateway.export_file as f
   set is_withdrawn = true
 where {holds}
returning f.folder;

-- name: hold_open(sandbox_id) -> rows
-- Hold the exports that have not ended, so that none of them commits what it has read before the transaction ends. Walks job_open_key.
select job_id
  from gateway.job
 where sandbox_id = $1 and kind = 'EXPORT_PROFILES' and status in ('NEW', 'PROCESSING')
 order by job_id
   for update;

-- name: cancel_exports_of_people(sandbox_id, xids, error) -> rows
-- Cancel the exports under way that hold somebody under these identities, or are just reading people: whoever works on one commits nothing more. Walks
-- job_open_key and export_identity_pkey.
update gateway.job as j
   set status = 'CANCELLED', lease = null, error = $3, updated_at = stamp
  from gateway.now() as stamp
 where j.sandbox_id = $1 and j.kind = 'EXPORT_PROFILES' and j.status in ('NEW', 'PROCESSING') and j.attempts > 0
   and (j.cursor is null or j.cursor::text = 'null'
        or exists (select from gateway.export_identity as x where x.sandbox_id = $1 and x.job_id = j.job_id and x.xid = any($2::uuid[])))
returning j.job_id;

-- name: forget_people(sandbox_id, xids) -> none
-- Remove what exports have read of the people of these identities, and whom they hold under them. Walks export_identity_pkey, once for each export, and
-- export_person_pkey.
with gone as (
  delete from gateway.export_person as p
   using gateway.export_identity as x
   where x.sandbox_id = $1 and x.job_id = any({with_identities}) and x.xid = any($2::uuid[])
     and p.sandbox_id = $1 and p.job_id = x.job_id and p.profile_id = x.profile_id
)
delete from gateway.export_identity
 where sandbox_id = $1 and job_id = any({with_identities}) and xid = any($2);
