-- Events as a parameter of a statement. Those of a person lie on several nodes of a cluster, which lets no statement go through them for each
-- person: they are read first, and a statement that asks no node computes what they come to.

-- part: of_person
-- The events of the person at a place, in a parameter.
(${parameter}::jsonb[])[{place}] as events,

-- part: event
-- An event as JSON, for the part `search.given_events`.
jsonb_build_object('xid', e.xid, 'dataset_id', e.dataset_id, 'event_id', e.event_id, 'timestamp', e.timestamp,
                   'event_type', e.event_type, 'document', e.document)::text as event

-- name: read_events(sandbox_id, xids, since, until, most) -> rows
-- The events of these identities within a time, `most` at most, each as the part `event`. Walks event_timeline_idx.
select e.xid, {event}
  from gateway.event e
 where e.sandbox_id = $1 and e.xid = any($2::uuid[]) and e.timestamp between $3 and $4
 limit $5;
