-- Computed attributes: values of a person that are computed from events, or from the profile and other attributes, as they are read.

create table gateway.computed_attribute (
  sandbox_id     bigint not null references gateway.sandbox on delete cascade,
  attribute_id   uuid not null,
  name           text not null constraint computed_attribute_name_plain check (name ~ '^[A-Za-z][A-Za-z0-9]*$'),
  display_name   text not null,
  description    text,
  class          text not null constraint computed_attribute_class_known check (class in ('INDIVIDUAL_PROFILE', 'EXPERIENCE_EVENT')),
  expression     text not null,                                                   -- PQL
  lookback       text,                                                            -- how old its events may be, as ISO 8601: P30D; null: any age
  keep_current   boolean not null,                                                -- as it was given; means nothing
  merge_function text constraint computed_attribute_merge_function_known            -- what it makes of events; null: it is over the profile
                 check (merge_function in ('SUM', 'COUNT', 'MIN', 'MAX', 'AVERAGE', 'MOST_RECENT', 'LIST', 'DISTINCT', 'MOST_FREQUENT', 'GROUPBY')),
  return_type    text not null,
  dependencies   text[] not null,                                                 -- dotted paths that the expression reads
  status         text not null constraint computed_attribute_status_known check (status in ('DRAFT', 'NEW', 'PROCESSED', 'DISABLED')),
  version        integer not null default 1,
  created_at     timestamptz not null,
  updated_at     timestamptz not null,
  created_by     text,                                                            -- the actor; null: unknown
  primary key (sandbox_id, attribute_id),
  constraint computed_attribute_name_key unique (sandbox_id, name)
);
