-- Times and whole numbers of a record have one form; how they were sent is kept beside it, where that was another one.

alter table gateway.record
  add column as_sent json;
