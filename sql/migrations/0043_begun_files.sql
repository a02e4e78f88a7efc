-- Files of exports are known from before they are begun, so that whatever a killed worker leaves is found.

alter table gateway.export_file alter column rows set default 0, alter column bytes set default 0, alter column sha256 drop not null;
