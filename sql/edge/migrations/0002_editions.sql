-- What an edge has of a projection configuration under one number is called an edition.

alter table edge.configuration rename column revision to edition;
alter table edge.fill rename column revision to edition;
alter table edge.projection rename column revision to edition;
alter table edge.identity rename column revision to edition;
