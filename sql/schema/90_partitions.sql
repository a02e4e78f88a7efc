-- Eight hash partitions of each large table.

do $$
declare
  parent text;
  part   integer;
begin
  foreach parent in array array['identity', 'graph', 'tie', 'record', 'fragment', 'profile', 'event'] loop
    for part in 0..7 loop
      execute format('create table gateway.%I partition of gateway.%I for values with (modulus 8, remainder %s)', parent || '_' || part, parent, part);
    end loop;
  end loop;
end $$;
