-- Revisions that are filled beside the served one.

-- name: begin_fill(sandbox_id, configuration_id, revision) -> none
-- Begin to fill a revision.
insert into edge.fill (sandbox_id, configuration_id, revision)
values ($1, $2, $3)
on conflict do nothing;

-- name: note_fill(sandbox_id, configuration_id, revision, filled_to, done) -> none
-- Note how far a revision is filled. Walks fill_pkey.
update edge.fill
   set filled_to = $4, done = $5
 where sandbox_id = $1
   and configuration_id = $2
   and revision = $3;

-- name: list_fills(sandbox_id) -> rows
-- List the revisions that are filled. Walks fill_pkey.
select configuration_id, revision, filled_to, done
  from edge.fill
 where sandbox_id = $1
 order by configuration_id, revision;
