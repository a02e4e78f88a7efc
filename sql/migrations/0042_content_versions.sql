-- What was the revision of a projection configuration is its content version.

alter table gateway.projection_configuration rename column revision to content_version;
