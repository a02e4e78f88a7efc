-- Public keys of our own tokens, by which edges verify them.

create table gateway.signing_key (
  key_id     text primary key,
  public_key bytea not null constraint signing_key_public_key_size check (length(public_key) = 32),
  created_at timestamptz not null
);
