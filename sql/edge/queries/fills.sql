-- Editions that are filled beside the served one.

-- name: begin_fill(sandbox_id, configuration_id, edition) -> none
-- Begin to fill an edition.
insert into edge.fill (sandbox_id, configuration_id, edition)
values ($1, $2, $3)
on conflict do nothing;

-- name: note_fill(sandbox_id, configuration_id, edition, filled_to, done) -> none
-- Note how far an edition is filled. Walks fill_pkey.
update edge.fill
   set filled_to = $4, done = $5
 where sandbox_id = $1
   and configuration_id = $2
   and edition = $3;

-- name: list_fills(sandbox_id) -> rows
-- List the editions that are filled. Walks fill_pkey.
select configuration_id, edition, filled_to, done
  from edge.fill
 where sandbox_id = $1
 order by configuration_id, edition;
