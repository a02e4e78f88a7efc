-- Of columns that hold what documents say Postgres keeps no statistics, as samples of values would outlive erased people. No plan depends on them.

alter table gateway.identity alter column value set statistics 0;
alter table gateway.profile alter column document set statistics 0;
alter table gateway.export_person alter column document set statistics 0;
alter table gateway.kept_value alter column value set statistics 0;
alter table gateway.event
  alter column event_id set statistics 0,
  alter column event_type set statistics 0,
  alter column document set statistics 0;
alter table gateway.event_resend
  alter column event_id set statistics 0,
  alter column document set statistics 0;
alter table gateway.ingest_error
  alter column paths set statistics 0,
  alter column messages set statistics 0;
alter table gateway.ingestion_warning alter column message set statistics 0;
alter table gateway.computed_partial
  alter column numbers set statistics 0,
  alter column items set statistics 0;
