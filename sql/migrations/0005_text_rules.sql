-- Sandboxes know by which rules their identities are spelled: those that are there keep the first ones, and every key of an identity.

alter table gateway.sandbox
  add column text_rules smallint not null default 1 constraint sandbox_text_rules_known check (text_rules in (1, 2));

alter table gateway.sandbox
  alter column text_rules drop default;

alter table gateway.namespace
  drop constraint namespace_normalization_known,
  add constraint namespace_normalization_known check (normalization in ('EXACT', 'TRIM_LOWERCASE', 'E164'));
