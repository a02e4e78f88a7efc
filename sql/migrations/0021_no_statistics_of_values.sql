-- Of columns that hold what documents say Postgres keeps no statistics, as samples of values would outlive erased people.

-- A new type, if the same one, drops the statistics that there are. It writes no table anew, and no index but those of a partitioned table, for which
-- Postgres 18 has a way of its own.
alter table gateway.identity alter column value set statistics 0, alter column value type text;
alter table gateway.profile alter column document set statistics 0, alter column document type jsonb;
alter table gateway.event
  alter column event_id set statistics 0,
  alter column event_type set statistics 0, alter column event_type type text,
  alter column document set statistics 0, alter column document type jsonb;
alter table gateway.event_resend
  alter column event_id set statistics 0, alter column event_id type text collate "C",
  alter column document set statistics 0, alter column document type jsonb;
alter table gateway.ingest_error
  alter column paths set statistics 0, alter column paths type text[],
  alter column messages set statistics 0, alter column messages type text[];
alter table gateway.ingestion_warning alter column message set statistics 0, alter column message type text;
do $$
declare
  name text;
begin
  if to_regproc('pg_catalog.pg_clear_attribute_stats') is null then
    alter table gateway.event alter column event_id type text collate "C";
  else
    foreach name in array array['event', 'event_0', 'event_1', 'event_2', 'event_3'] loop
      perform pg_clear_attribute_stats('gateway', name, 'event_id', name = 'event');
    end loop;
  end if;
end $$;
