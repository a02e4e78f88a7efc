-- Deliveries of projections: who brings them to a data centre, and what its edge has by now. An edge itself says what it has; here stands what
-- is shown of it, and what jobs wait for.

create table gateway.data_center (
  data_center  text primary key,
  fence        bigint not null,                                                   -- the number of the lease: grows with each holder
  lease        uuid,                                                              -- of the process that delivers; null: any may
  leased_until timestamptz not null,
  reached_at   timestamptz,                                                       -- when its edge last answered; null: never
  error        text                                                               -- why nothing is delivered; null: it is
);

create table gateway.delivery (
  sandbox_id   bigint not null references gateway.sandbox on delete cascade,
  data_center  text not null,
  position     text not null,                                                     -- in the journal: what comes behind it is not there yet
  confirmed_at timestamptz,                                                       -- all that was committed until then is there; null: not yet
  delivered_at timestamptz,
  projections  bigint not null,
  primary key (sandbox_id, data_center)
);

create table gateway.configuration_delivery (
  sandbox_id       bigint not null,
  data_center      text not null,
  configuration_id uuid not null,
  served           bigint,                                                        -- the number of the edition: a content version, and how often that was filled anew; null: none
  filling          bigint,                                                        -- the next one, which is filled beside it; null: none
  done             bigint not null,                                               -- people
  total            bigint,
  error            text,                                                          -- why some are not delivered; null: all are
  primary key (sandbox_id, data_center, configuration_id),
  foreign key (sandbox_id, configuration_id) references gateway.projection_configuration on delete cascade
);

create table gateway.withdrawn_projection (
  sandbox_id  bigint not null,
  job_id      uuid not null,                                                      -- the job that erased their people
  data_center text not null,
  seq         bigint not null,                                                    -- of the journal: counted up to there
  projections bigint not null,
  primary key (sandbox_id, job_id, data_center),
  foreign key (sandbox_id, job_id) references gateway.job on delete cascade
);
