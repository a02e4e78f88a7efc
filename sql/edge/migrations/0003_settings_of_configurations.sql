-- Look-ups find the version of the settings with the configuration, and read the sandbox no longer.

alter table edge.configuration add column settings_version bigint;

update edge.configuration c
   set settings_version = s.settings_version
  from edge.sandbox s
 where s.sandbox_id = c.sandbox_id;

alter table edge.configuration alter column settings_version set not null;
