-- The store of an edge: what a hub delivers of people to one data centre, and what the edge wants of it.
--
-- Received, and replaced by each delivery; a hub connects as a role that may write these alone:
--
--   sandbox        whose people are here, how values of identities become keys, and up to when everything is here
--   namespace      how values of identities are normalized
--   api_key        hashes of the keys that open the sandbox
--   signing_key    public keys that verify tokens
--   issuer         other issuers of tokens, with their public keys
--   revocation     hashes of what is revoked
--   configuration  which edition of each projection configuration is served
--   fill           which edition is filled beside it, and how far that is
--   projection     what one configuration says of one person
--   identity       whose each identity is, or that nobody has it
--
-- Asked: wanted, what the edge was asked for and does not have. Of the database itself: data_center, migration.
--
-- An identity is the keyed hash of a namespace and a value, by a key that the hub derives for this data centre, and a person is what only the
-- hub can read: whoever reads this database learns nothing of the keys of the hub or of another edge. Every key starts with sandbox_id.

create schema edge;

-- The files of sql/edge/migrations/ that this database has seen, as in the schema `gateway`.
create table edge.migration (
  name       text primary key,
  applied_at timestamptz not null default now()
);

-- Which data centre this is, and who may deliver to it: one row.
create table edge.data_center (
  code  text primary key constraint data_center_code_shape check (code ~ '^[A-Z]{2,3}[0-9]{1,2}$'),
  hub   text,                                                                     -- the deployment that delivers; null: none has yet
  fence bigint not null default 0                                                 -- grows with each projector that takes over; an earlier one is refused
);

create unique index data_center_is_one on edge.data_center ((true));
