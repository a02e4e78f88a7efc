-- The journal names identities that nobody has any more, though others who were the same person are still there.

alter table gateway.change
  drop constraint change_profile_id_given,
  add constraint change_profile_id_given check (profile_id is not null and kind <> 'EVENTS' or profile_id is null and kind in ('EVENTS', 'DELETED'));
