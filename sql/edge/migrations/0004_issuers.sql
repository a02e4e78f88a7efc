-- Edges verify tokens of other issuers by keys that the hub delivers.

create table edge.issuer (
  sandbox_id bigint not null references edge.sandbox on delete cascade,
  issuer     text not null,
  audience   text not null,
  algorithms text[] not null,                                                     -- of those, one has to have signed a token
  leeway     float8 not null,                                                     -- seconds by which its clock may differ
  keys       text,                                                                -- a JSON Web Key Set of public keys; null: not known yet
  primary key (sandbox_id, issuer)
);
