-- Four hash partitions of each table of documents. With four, a free TOAST oid is found quickly even among the long runs of used ones that
-- bulk loads leave, as three of four oids belong to other partitions. Each partition costs every statement 1 to 2 µs, so tables without
-- documents have none.

do $$
declare
  parent text;
  part   integer;
begin
  foreach parent in array array['record', 'fragment', 'profile', 'event'] loop
    for part in 0..3 loop
      execute format('create table gateway.%I partition of gateway.%I for values with (modulus 4, remainder %s)', parent || '_' || part, parent, part);
    end loop;
  end loop;
end $$;
