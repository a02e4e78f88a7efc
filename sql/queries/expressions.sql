-- Expressions of PQL over what the store has.

-- name: read_instant() -> value
-- The time at which expressions are evaluated.
select stamp
  from gateway.now() as stamp;

-- name: evaluate_expression(sandbox_id, document, xids, at, since) -> value
-- An expression over one profile, its document given: its events are those of the xids, of the time from `since` up to `at`; `{events}`: those
-- themselves, where they are given. Where it reads events, event_timeline_idx or event_pkey are walked for these xids.
select {value} as value
  from (select {events}$2::jsonb as document, $3::uuid[] as xids, $4::timestamptz as at, coalesce($5::timestamptz, '-infinity') as since) p
 where $1::bigint is not null;
