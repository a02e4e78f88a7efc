-- Columns of statuses, kinds and other known words take no other word.

alter table gateway.namespace
  add constraint namespace_id_type_known check (id_type in ('CROSS_DEVICE', 'EMAIL', 'PHONE', 'DEVICE', 'COOKIE', 'PARTNER', 'NON_PEOPLE')),
  add constraint namespace_normalization_known check (normalization in ('EXACT', 'TRIM_LOWERCASE'));

alter table gateway.xdm_schema
  add constraint xdm_schema_class_known check (class in ('INDIVIDUAL_PROFILE', 'EXPERIENCE_EVENT'));

alter table gateway.batch
  add constraint batch_status_known check (status in ('LOADING', 'ACTIVE', 'FAILED', 'ABORTED', 'REVERTED', 'DELETED'));

alter table gateway.merge_policy
  add constraint merge_policy_class_known check (class in ('INDIVIDUAL_PROFILE', 'EXPERIENCE_EVENT')),
  add constraint merge_policy_identity_graph_known check (identity_graph in ('NONE', 'PDG')),
  add constraint merge_policy_merge_type_known check (merge_type in ('TIMESTAMP_ORDERED', 'DATASET_PRECEDENCE')),
  add constraint merge_policy_status_known check (status in ('BUILDING', 'ACTIVE'));

alter table gateway.job
  add constraint job_kind_known check (kind in ('materialize_policy', 'regroup_sandbox', 'abort_batch'));
