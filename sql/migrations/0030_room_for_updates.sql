-- Pages of identities, graphs and profiles keep room, so that an update mostly needs no new entry in an index. Holds for pages written from now on.

alter table gateway.identity set (fillfactor = 90);
alter table gateway.graph set (fillfactor = 75);
alter table gateway.profile set (fillfactor = 75);
