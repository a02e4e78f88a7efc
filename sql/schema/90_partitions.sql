-- Four hash partitions of each table of documents. That is enough for a free TOAST oid to be near in any of them, however long the runs
-- are that bulk loads leave: three of four oids are another partition's. Each partition costs every statement 1 to 2 µs, and tables
-- without documents have none.

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
