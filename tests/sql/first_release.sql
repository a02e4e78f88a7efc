-- What the first release wrote into a database: two sandboxes, records in every mode, events and one sent again, people linked and
-- unlinked by hand, an aborted batch, refused documents, a warning, identity settings, finished jobs. Dumped by pg_dump; it stays as it is.

INSERT INTO gateway.organization (organization_id, code, name, created_at) VALUES
	('98403452-a519-4984-8715-ece992eeb2af', 'story', 'An organization', '2026-01-01 00:00:00+00');
INSERT INTO gateway.api_key (key_hash, organization_id, name, created_at, revoked_at) VALUES
	('\x60e05bd1b195af2f94112fa7197a5c88289058840ce7c6df9693756bc6250f55', '98403452-a519-4984-8715-ece992eeb2af', 'first start', '2026-01-07 00:00:00+00', NULL);
INSERT INTO gateway.sandbox (sandbox_id, organization_id, name, title, type, is_default, secret, config_version, created_at) OVERRIDING SYSTEM VALUE VALUES
	(1, '98403452-a519-4984-8715-ece992eeb2af', 'prod', NULL, 'PRODUCTION', true, '\x5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e', 9, '2026-01-01 00:00:00+00'),
	(2, '98403452-a519-4984-8715-ece992eeb2af', 'dev', 'For trying', 'DEVELOPMENT', false, '\x334d490dbdb8f86594e7e048766f10dde0a748f5854e20c7636fc779cf2b0527', 3, '2026-01-10 01:00:00+00');
INSERT INTO gateway.xdm_schema (sandbox_id, schema_id, title, class, field_groups, custom_fields, identities, is_profile_enabled, version, created_at) VALUES
	(1, '86583da8-ff41-4af7-96d7-66e6b2c656f9', 'Person', 'INDIVIDUAL_PROFILE', '{profile-consents,profile-delivery-addresses,profile-external-source-audit,profile-identity-map,profile-loyalty,profile-person-details,profile-personal-contact,profile-segment-membership,profile-work-contact}', '{}', '[]', true, 1, '2026-01-01 00:00:00+00'),
	(1, '3801ce6d-553e-48b7-bd9a-8c3ac8a632e4', 'Event', 'EXPERIENCE_EVENT', '{experienceevent-application,experienceevent-commerce,experienceevent-device,experienceevent-direct-marketing,experienceevent-environment,experienceevent-identity-map,experienceevent-marketing,experienceevent-media,experienceevent-place-context,experienceevent-product-list-items,experienceevent-web}', '{}', '[]', true, 1, '2026-01-01 00:00:00+00'),
	(2, '2e4da68c-eb2d-4831-968c-b11dfbcca93c', 'Customer', 'INDIVIDUAL_PROFILE', '{profile-person-details,profile-personal-contact}', '{"shoeSize":{"type":"integer"},"joined":{"type":"string","format":"date-time"}}', '[{"path":"personalEmail.address","namespace":"Email","isPrimary":true}]', true, 1, '2026-01-11 00:00:00+00');
INSERT INTO gateway.dataset (sandbox_id, dataset_id, schema_id, name, description, is_profile_enabled, created_at) VALUES
	(1, '19f1579c-77a7-4930-bedf-10ce3d96d803', '86583da8-ff41-4af7-96d7-66e6b2c656f9', 'CRM', NULL, true, '2026-01-01 00:00:00+00'),
	(1, '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', '86583da8-ff41-4af7-96d7-66e6b2c656f9', 'Loyalty', NULL, true, '2026-01-01 00:00:00+00'),
	(1, 'd76a7b51-d677-40d4-9348-0f42df20b83f', '3801ce6d-553e-48b7-bd9a-8c3ac8a632e4', 'Shop', NULL, true, '2026-01-01 00:00:00+00'),
	(2, '7541948f-89e6-485d-b68e-62bb72381444', '2e4da68c-eb2d-4831-968c-b11dfbcca93c', 'Customers', NULL, true, '2026-01-11 00:00:00+00');
INSERT INTO gateway.batch (sandbox_id, batch_id, dataset_id, key, status, record_count, failed_count, created_at, completed_at) VALUES
	(1, 'c55489ac-2133-6ad6-8025-a43f340ca7f9', '19f1579c-77a7-4930-bedf-10ce3d96d803', NULL, 'LOADING', 2, 0, '2026-01-03 00:00:00+00', NULL),
	(1, '7ce2d20e-b6cd-ab53-e33d-6396f1bedd67', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', NULL, 'LOADING', 1, 0, '2026-01-04 00:00:00+00', NULL),
	(1, '4e1bb253-77ea-75be-c98a-eeae3c4cfdcf', 'd76a7b51-d677-40d4-9348-0f42df20b83f', NULL, 'LOADING', 4, 0, '2026-01-05 00:00:00+00', NULL),
	(1, 'f7ca2620-f34c-c9d3-6343-ada3a3585ccc', '19f1579c-77a7-4930-bedf-10ce3d96d803', 'file-1', 'LOADING', 1, 2, '2026-01-06 00:00:00+00', NULL),
	(1, '17fdd220-666f-26b5-5ddf-573bb57efcaf', '19f1579c-77a7-4930-bedf-10ce3d96d803', NULL, 'LOADING', 1, 0, '2026-01-07 00:00:00+00', NULL),
	(1, '5a6f90a6-b6ff-3108-debf-32cd38361050', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', NULL, 'LOADING', 1, 0, '2026-01-07 00:00:00+00', NULL),
	(1, 'a2ddeabc-56b9-3fde-4581-6bd832137edc', 'd76a7b51-d677-40d4-9348-0f42df20b83f', NULL, 'LOADING', 1, 0, '2026-01-07 00:00:00+00', NULL),
	(1, 'f44982bf-1849-ed3e-aa42-5e5c46d091f4', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', NULL, 'LOADING', 1, 0, '2026-01-08 00:00:00+00', NULL),
	(1, '2f524bdf-cd06-397c-ae21-797fdcad81f4', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'repeats', 'ACTIVE', 1, 0, '2026-01-09 00:00:00+00', '2026-01-09 00:00:00+00'),
	(1, 'c966192b-42c3-8185-f033-874ac63b9491', '19f1579c-77a7-4930-bedf-10ce3d96d803', 'regretted', 'ABORTED', 1, 0, '2026-01-09 00:00:00+00', '2026-01-09 00:00:00+00'),
	(2, '78035197-3d4b-b9a7-91b4-af851c68683b', '7541948f-89e6-485d-b68e-62bb72381444', NULL, 'LOADING', 1, 0, '2026-01-11 00:00:00+00', NULL),
	(1, '3ce10e7c-b43b-718a-2eef-488f2b45ba23', '19f1579c-77a7-4930-bedf-10ce3d96d803', 'half sent', 'LOADING', 1, 0, '2026-01-12 00:00:00+00', NULL);
INSERT INTO gateway.cannot (sandbox_id, xid, other_xid, created_at) VALUES
	(1, '99194509-5cc6-4842-c471-113788b58dd8', 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '2026-01-08 00:00:00+00'),
	(1, 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '99194509-5cc6-4842-c471-113788b58dd8', '2026-01-08 00:00:00+00');
INSERT INTO gateway.event (sandbox_id, xid, dataset_id, event_id, batch_id, "timestamp", event_type, document, ingested_at) VALUES
	(1, '96ce45e3-842b-18c6-4ab7-325c75de8b3c', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'b1', '4e1bb253-77ea-75be-c98a-eeae3c4cfdcf', '2025-12-03 10:00:00+00', 'commerce.purchases', '{"_id": "b1", "eventType": "commerce.purchases", "timestamp": "2025-12-03T10:00:00Z", "identityMap": {"Email": [{"id": "ben@example.com", "primary": true}]}}', '2026-01-05 00:00:00+00'),
	(1, 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'c1', 'a2ddeabc-56b9-3fde-4581-6bd832137edc', '2025-12-05 10:00:00+00', 'web.webpagedetails.pageViews', '{"_id": "c1", "eventType": "web.webpagedetails.pageViews", "timestamp": "2025-12-05T10:00:00Z", "identityMap": {"ECID": [{"id": "11111111111111111111111111111111111111"}], "Email": [{"id": "cleo@example.com", "primary": true}]}}', '2026-01-07 00:00:00+00');
INSERT INTO gateway.event (sandbox_id, xid, dataset_id, event_id, batch_id, "timestamp", event_type, document, ingested_at) VALUES
	(1, '0b48b28c-aeab-0c00-9056-f2e992d8379d', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'a2', '4e1bb253-77ea-75be-c98a-eeae3c4cfdcf', '2025-12-02 10:00:00+00', 'commerce.purchases', '{"_id": "a2", "commerce": {"order": {"priceTotal": 12.5, "purchaseID": "o1", "currencyCode": "EUR"}}, "eventType": "commerce.purchases", "timestamp": "2025-12-02T10:00:00Z", "identityMap": {"Email": [{"id": "ada@example.com", "primary": true}]}, "productListItems": [{"SKU": "tea", "quantity": 2}]}', '2026-01-05 00:00:00+00'),
	(1, '0b48b28c-aeab-0c00-9056-f2e992d8379d', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'a1', '4e1bb253-77ea-75be-c98a-eeae3c4cfdcf', '2025-12-01 10:00:00+00', 'web.webpagedetails.pageViews', '{"_id": "a1", "eventType": "web.webpagedetails.pageViews", "timestamp": "2025-12-01T10:00:00Z", "identityMap": {"ECID": [{"id": "11111111111111111111111111111111111111"}], "Email": [{"id": "ada@example.com", "primary": true}]}}', '2026-01-05 00:00:00+00');
INSERT INTO gateway.event (sandbox_id, xid, dataset_id, event_id, batch_id, "timestamp", event_type, document, ingested_at) VALUES
	(1, '8865b255-643e-e723-4089-cf8170f981f8', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'n1', '4e1bb253-77ea-75be-c98a-eeae3c4cfdcf', '2025-12-04 10:00:00+00', NULL, '{"_id": "n1", "timestamp": "2025-12-04T10:00:00Z", "identityMap": {"ECID": [{"id": "99999999999999999999999999999999999999", "primary": true}]}}', '2026-01-05 00:00:00+00'),
	(1, 'e990b8bf-5c8b-4081-7916-69fa10161b53', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'd1', '2f524bdf-cd06-397c-ae21-797fdcad81f4', '2025-12-06 10:00:00+00', NULL, '{"_id": "d1", "timestamp": "2025-12-06T10:00:00Z", "identityMap": {"ECID": [{"id": "44444444444444444444444444444444444444", "primary": true}], "Email": [{"id": "ben@example.com"}]}}', '2026-01-09 00:00:00+00');
INSERT INTO gateway.event_repeat (sandbox_id, xid, dataset_id, event_id, batch_id, ingested_at) VALUES
	(1, '0b48b28c-aeab-0c00-9056-f2e992d8379d', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'a1', '2f524bdf-cd06-397c-ae21-797fdcad81f4', '2026-01-09 00:00:00+00');
INSERT INTO gateway.fragment (sandbox_id, xid, dataset_id, ordinal, batch_id, ingested_at, observed_at, folded, is_deleted, head_at, head_batch_id, head_ordinal) VALUES
	(1, '96ce45e3-842b-18c6-4ab7-325c75de8b3c', '19f1579c-77a7-4930-bedf-10ce3d96d803', 4001, '17fdd220-666f-26b5-5ddf-573bb57efcaf', '2026-01-07 00:00:00+00', NULL, '{"identityMap":{"Email":[{"id":"ben@example.com","primary":true}],"Phone":[{"id":"0000"}]},"person":{"name":{"firstName":"Benjamin"}},"workAddress":{"city":"Leeds"}}', false, '2026-01-07 00:00:00+00', '17fdd220-666f-26b5-5ddf-573bb57efcaf', 4001),
	(1, 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', 7001, 'f44982bf-1849-ed3e-aa42-5e5c46d091f4', '2026-01-08 00:00:00+00', NULL, NULL, true, '2026-01-08 00:00:00+00', 'f44982bf-1849-ed3e-aa42-5e5c46d091f4', 7001);
INSERT INTO gateway.fragment (sandbox_id, xid, dataset_id, ordinal, batch_id, ingested_at, observed_at, folded, is_deleted, head_at, head_batch_id, head_ordinal) VALUES
	(1, '0b48b28c-aeab-0c00-9056-f2e992d8379d', '19f1579c-77a7-4930-bedf-10ce3d96d803', 1, 'c55489ac-2133-6ad6-8025-a43f340ca7f9', '2026-01-03 00:00:00+00', NULL, NULL, false, '2026-01-03 00:00:00+00', 'c55489ac-2133-6ad6-8025-a43f340ca7f9', 1),
	(1, 'f2fa62ef-8c28-ba7e-41dc-7538f385f31e', '19f1579c-77a7-4930-bedf-10ce3d96d803', 12001, '3ce10e7c-b43b-718a-2eef-488f2b45ba23', '2026-01-12 00:00:00+00', NULL, NULL, false, '2026-01-12 00:00:00+00', '3ce10e7c-b43b-718a-2eef-488f2b45ba23', 12001);
INSERT INTO gateway.fragment (sandbox_id, xid, dataset_id, ordinal, batch_id, ingested_at, observed_at, folded, is_deleted, head_at, head_batch_id, head_ordinal) VALUES
	(1, 'bb6b3fef-4cfd-e26c-399a-852487766bcd', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', 1001, '7ce2d20e-b6cd-ab53-e33d-6396f1bedd67', '2026-01-04 00:00:00+00', NULL, NULL, false, '2026-01-04 00:00:00+00', '7ce2d20e-b6cd-ab53-e33d-6396f1bedd67', 1001),
	(2, '578adc21-e7f3-3a7e-4163-9358cb148344', '7541948f-89e6-485d-b68e-62bb72381444', 11001, '78035197-3d4b-b9a7-91b4-af851c68683b', '2026-01-11 00:00:00+00', NULL, NULL, false, '2026-01-11 00:00:00+00', '78035197-3d4b-b9a7-91b4-af851c68683b', 11001);
INSERT INTO gateway.graph (sandbox_id, profile_id, xids, identity_map, is_contested, size) VALUES
	(1, '8865b255-643e-e723-4089-cf8170f981f8', '{8865b255-643e-e723-4089-cf8170f981f8}', '{"ECID":[{"id":"99999999999999999999999999999999999999"}]}', false, 1),
	(1, 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '{e98b8b24-1b4c-691d-33b8-c351397fd4bc}', '{"Email":[{"id":"cleo@example.com"}]}', true, 1),
	(1, 'f0ba0f7f-783c-c8bb-28ea-ecef7e732926', '{f0ba0f7f-783c-c8bb-28ea-ecef7e732926,96ce45e3-842b-18c6-4ab7-325c75de8b3c,bb6b3fef-4cfd-e26c-399a-852487766bcd,e990b8bf-5c8b-4081-7916-69fa10161b53}', '{"Card":[{"id":"77"}],"Email":[{"id":"ben@example.com"}],"Phone":[{"id":"+441"}],"ECID":[{"id":"44444444444444444444444444444444444444"}]}', true, 4),
	(1, '0b48b28c-aeab-0c00-9056-f2e992d8379d', '{0b48b28c-aeab-0c00-9056-f2e992d8379d,99194509-5cc6-4842-c471-113788b58dd8}', '{"Email":[{"id":"ada@example.com"}],"ECID":[{"id":"11111111111111111111111111111111111111"}]}', true, 2),
	(2, '578adc21-e7f3-3a7e-4163-9358cb148344', '{578adc21-e7f3-3a7e-4163-9358cb148344}', '{"Email":[{"id":"eve@example.com"}]}', false, 1),
	(1, 'f2fa62ef-8c28-ba7e-41dc-7538f385f31e', '{f2fa62ef-8c28-ba7e-41dc-7538f385f31e}', '{"Email":[{"id":"fay@example.com"}]}', false, 1);
INSERT INTO gateway.identity (sandbox_id, xid, namespace_id, value, profile_id, rung, erased_at) VALUES
	(1, 'f0ba0f7f-783c-c8bb-28ea-ecef7e732926', 10000001, '77', 'f0ba0f7f-783c-c8bb-28ea-ecef7e732926', 100, NULL),
	(1, 'bb6b3fef-4cfd-e26c-399a-852487766bcd', 7, '+441', 'f0ba0f7f-783c-c8bb-28ea-ecef7e732926', 100, NULL),
	(1, '8865b255-643e-e723-4089-cf8170f981f8', 4, '99999999999999999999999999999999999999', '8865b255-643e-e723-4089-cf8170f981f8', 100, NULL),
	(1, 'd3d7e7a1-1a6c-7a62-b0ff-3ab208ef8c83', 7, '+443', NULL, 100, NULL),
	(1, 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', 6, 'cleo@example.com', 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', 100, NULL),
	(1, '96ce45e3-842b-18c6-4ab7-325c75de8b3c', 6, 'ben@example.com', 'f0ba0f7f-783c-c8bb-28ea-ecef7e732926', 100, NULL),
	(1, 'e990b8bf-5c8b-4081-7916-69fa10161b53', 4, '44444444444444444444444444444444444444', 'f0ba0f7f-783c-c8bb-28ea-ecef7e732926', 100, NULL),
	(1, '0b48b28c-aeab-0c00-9056-f2e992d8379d', 6, 'ada@example.com', '0b48b28c-aeab-0c00-9056-f2e992d8379d', 100, NULL),
	(1, '99194509-5cc6-4842-c471-113788b58dd8', 4, '11111111111111111111111111111111111111', '0b48b28c-aeab-0c00-9056-f2e992d8379d', 100, NULL),
	(2, '578adc21-e7f3-3a7e-4163-9358cb148344', 6, 'eve@example.com', '578adc21-e7f3-3a7e-4163-9358cb148344', 100, NULL),
	(1, 'f2fa62ef-8c28-ba7e-41dc-7538f385f31e', 6, 'fay@example.com', 'f2fa62ef-8c28-ba7e-41dc-7538f385f31e', 100, NULL);
INSERT INTO gateway.ingest_error (sandbox_id, batch_id, ordinal, index, path, code, message, document) VALUES
	(1, 'f7ca2620-f34c-c9d3-6343-ada3a3585ccc', 3002, 1, '$.shoeSize', 'UNKNOWN_FIELD', 'The schema has no field ''shoeSize'' here; check its spelling, or add it to the schema.', '{"shoeSize":44,"identityMap":{"Email":[{"id":"ada@example.com","primary":true}]}}'),
	(1, 'f7ca2620-f34c-c9d3-6343-ada3a3585ccc', 3003, 2, '$.identityMap.Email[0].id', 'IDENTITY_PLACEHOLDER', 'The primary identity names nobody: ''guest''.', '{"identityMap":{"Email":[{"id":"guest","primary":true}]}}');
INSERT INTO gateway.ingestion_warning (sandbox_id, warning_id, code, message, dataset_id, batch_id, count, first_seen_at, last_seen_at, sample) VALUES
	(1, '756e9b06-6917-107f-8713-982eb98a23a6', 'IDENTITY_PLACEHOLDER', '''0000'' names nobody, so it links nobody; leave such an identity out.', '19f1579c-77a7-4930-bedf-10ce3d96d803', 'f7ca2620-f34c-c9d3-6343-ada3a3585ccc', 2, '2026-01-06 00:00:00+00', '2026-01-06 00:00:00+00', '{"index":0,"path":"$.identityMap.Phone[0].id","message":"''0000'' names nobody, so it links nobody; leave such an identity out."}');
INSERT INTO gateway.job (sandbox_id, job_id, kind, subject, status, cursor, done, total, attempt, error, lease, due_at, created_at, updated_at) VALUES
	(1, 'c29b5947-261f-4754-baf7-6472aeb78571', 'abort_batch', 'c966192b-42c3-8185-f033-874ac63b9491', 'COMPLETED', NULL, 0, NULL, 0, NULL, NULL, '2026-01-09 00:01:00+00', '2026-01-09 00:00:00+00', '2026-01-09 00:00:00+00'),
	(1, 'fa2765da-689c-4789-9979-c7931420f4fc', 'regroup_sandbox', '00000000-0000-0000-0000-000000000000', 'COMPLETED', '"f0ba0f7f-783c-c8bb-28ea-ecef7e732926"', 3, 4, 0, NULL, NULL, '2026-01-10 01:00:00+00', '2026-01-10 00:00:00+00', '2026-01-10 01:00:00+00');
INSERT INTO gateway.merge_policy (sandbox_id, policy_id, name, class, identity_graph, merge_type, dataset_order, is_default, is_active_on_edge, version, status, created_at, updated_at) VALUES
	(1, 'b4b22bf2-f715-4c62-bd28-be40cc62d8c3', 'Default', 'INDIVIDUAL_PROFILE', 'PDG', 'TIMESTAMP_ORDERED', '{}', true, false, 1, 'ACTIVE', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00'),
	(1, '09f1bb4f-b181-43a6-b25e-ffee391ce04e', 'Ranked', 'INDIVIDUAL_PROFILE', 'PDG', 'DATASET_PRECEDENCE', '{65f3ef51-4eb7-41c5-b31f-6827a0b39c76,19f1579c-77a7-4930-bedf-10ce3d96d803}', false, false, 1, 'ACTIVE', '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00'),
	(2, 'c6262595-dc87-419e-8248-2ff508707322', 'Default', 'INDIVIDUAL_PROFILE', 'PDG', 'TIMESTAMP_ORDERED', '{}', true, false, 1, 'ACTIVE', '2026-01-10 01:00:00+00', '2026-01-10 01:00:00+00');
INSERT INTO gateway.namespace (sandbox_id, namespace_id, code, name, description, id_type, normalization, is_custom, priority, is_unique_per_graph, created_at) VALUES
	(1, 0, 'CORE', 'Audience Manager', NULL, 'COOKIE', 'EXACT', false, NULL, false, '2026-01-01 00:00:00+00'),
	(1, 7, 'Phone', 'Phone number', NULL, 'PHONE', 'EXACT', false, NULL, false, '2026-01-01 00:00:00+00'),
	(1, 8, 'WAID', 'Windows advertising ID', NULL, 'DEVICE', 'EXACT', false, NULL, false, '2026-01-01 00:00:00+00'),
	(1, 9, 'TNTID', 'Target', NULL, 'COOKIE', 'EXACT', false, NULL, false, '2026-01-01 00:00:00+00'),
	(1, 10, 'AAID', 'Analytics (legacy)', NULL, 'COOKIE', 'EXACT', false, NULL, false, '2026-01-01 00:00:00+00'),
	(1, 11, 'Email_LC_SHA256', 'E-mail address, lower case, SHA-256', NULL, 'EMAIL', 'TRIM_LOWERCASE', false, NULL, false, '2026-01-01 00:00:00+00'),
	(1, 411, 'AdCloud', 'Advertising Cloud', NULL, 'COOKIE', 'EXACT', false, NULL, false, '2026-01-01 00:00:00+00'),
	(1, 20914, 'GAID', 'Google advertising ID', NULL, 'DEVICE', 'EXACT', false, NULL, false, '2026-01-01 00:00:00+00'),
	(1, 20915, 'IDFA', 'Apple ID for advertisers', NULL, 'DEVICE', 'EXACT', false, NULL, false, '2026-01-01 00:00:00+00'),
	(1, 20916, 'Phone_SHA256', 'Phone number, SHA-256', NULL, 'PHONE', 'TRIM_LOWERCASE', false, NULL, false, '2026-01-01 00:00:00+00'),
	(1, 10000001, 'Card', 'Loyalty card', NULL, 'CROSS_DEVICE', 'EXACT', true, 1, true, '2026-01-02 00:00:00+00'),
	(1, 6, 'Email', 'E-mail address', NULL, 'EMAIL', 'TRIM_LOWERCASE', false, 2, true, '2026-01-01 00:00:00+00'),
	(1, 4, 'ECID', 'Experience Cloud ID', NULL, 'COOKIE', 'EXACT', false, 3, false, '2026-01-01 00:00:00+00'),
	(2, 0, 'CORE', 'Audience Manager', NULL, 'COOKIE', 'EXACT', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 4, 'ECID', 'Experience Cloud ID', NULL, 'COOKIE', 'EXACT', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 6, 'Email', 'E-mail address', NULL, 'EMAIL', 'TRIM_LOWERCASE', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 7, 'Phone', 'Phone number', NULL, 'PHONE', 'EXACT', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 8, 'WAID', 'Windows advertising ID', NULL, 'DEVICE', 'EXACT', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 9, 'TNTID', 'Target', NULL, 'COOKIE', 'EXACT', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 10, 'AAID', 'Analytics (legacy)', NULL, 'COOKIE', 'EXACT', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 11, 'Email_LC_SHA256', 'E-mail address, lower case, SHA-256', NULL, 'EMAIL', 'TRIM_LOWERCASE', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 411, 'AdCloud', 'Advertising Cloud', NULL, 'COOKIE', 'EXACT', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 20914, 'GAID', 'Google advertising ID', NULL, 'DEVICE', 'EXACT', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 20915, 'IDFA', 'Apple ID for advertisers', NULL, 'DEVICE', 'EXACT', false, NULL, false, '2026-01-10 01:00:00+00'),
	(2, 20916, 'Phone_SHA256', 'Phone number, SHA-256', NULL, 'PHONE', 'TRIM_LOWERCASE', false, NULL, false, '2026-01-10 01:00:00+00');
INSERT INTO gateway.profile (sandbox_id, policy_id, profile_id, document, sources, modified_at) VALUES
	(1, 'b4b22bf2-f715-4c62-bd28-be40cc62d8c3', '0b48b28c-aeab-0c00-9056-f2e992d8379d', '{"person": {"name": {"firstName": "Ada"}}, "homeAddress": {"city": "London", "postalCode": "N1"}}', '{19f1579c-77a7-4930-bedf-10ce3d96d803}', '2026-01-03 00:00:00+00'),
	(1, 'b4b22bf2-f715-4c62-bd28-be40cc62d8c3', 'f2fa62ef-8c28-ba7e-41dc-7538f385f31e', '{"person": {"name": {"firstName": "Fay"}}}', '{19f1579c-77a7-4930-bedf-10ce3d96d803}', '2026-01-12 00:00:00+00');
INSERT INTO gateway.profile (sandbox_id, policy_id, profile_id, document, sources, modified_at) VALUES
	(2, 'c6262595-dc87-419e-8248-2ff508707322', '578adc21-e7f3-3a7e-4163-9358cb148344', '{"_story": {"joined": "2024-05-01T12:00:00+02:00", "shoeSize": 38}, "person": {"name": {"lastName": "Müller"}}, "personalEmail": {"address": "Eve@Example.com"}}', '{7541948f-89e6-485d-b68e-62bb72381444}', '2026-01-11 00:00:00+00');
INSERT INTO gateway.profile (sandbox_id, policy_id, profile_id, document, sources, modified_at) VALUES
	(1, 'b4b22bf2-f715-4c62-bd28-be40cc62d8c3', 'f0ba0f7f-783c-c8bb-28ea-ecef7e732926', '{"person": {"name": {"firstName": "Benjamin"}}, "workAddress": {"city": "Leeds"}}', '{19f1579c-77a7-4930-bedf-10ce3d96d803,65f3ef51-4eb7-41c5-b31f-6827a0b39c76}', '2026-01-07 00:00:00+00');
INSERT INTO gateway.record (sandbox_id, xid, dataset_id, ordinal, batch_id, mode, input, ingested_at, observed_at) VALUES
	(1, '96ce45e3-842b-18c6-4ab7-325c75de8b3c', '19f1579c-77a7-4930-bedf-10ce3d96d803', 2, 'c55489ac-2133-6ad6-8025-a43f340ca7f9', 'REPLACE', '{"identityMap":{"Email":[{"id":"ben@example.com","primary":true}]},"person":{"name":{"firstName":"Ben"}}}', '2026-01-03 00:00:00+00', NULL),
	(1, '96ce45e3-842b-18c6-4ab7-325c75de8b3c', '19f1579c-77a7-4930-bedf-10ce3d96d803', 3001, 'f7ca2620-f34c-c9d3-6343-ada3a3585ccc', 'REPLACE', '{"identityMap":{"Email":[{"id":"ben@example.com","primary":true}],"Phone":[{"id":"0000"}]},"person":{"name":{"firstName":"Benjamin"}}}', '2026-01-06 00:00:00+00', NULL),
	(1, '96ce45e3-842b-18c6-4ab7-325c75de8b3c', '19f1579c-77a7-4930-bedf-10ce3d96d803', 4001, '17fdd220-666f-26b5-5ddf-573bb57efcaf', 'MERGE', '{"identityMap":{"Email":[{"id":"ben@example.com","primary":true}]},"workAddress":{"city":"Leeds"}}', '2026-01-07 00:00:00+00', NULL),
	(1, 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', 5001, '5a6f90a6-b6ff-3108-debf-32cd38361050', 'REPLACE', '{"identityMap":{"Email":[{"id":"cleo@example.com","primary":true}],"Phone":[{"id":"+443"}]},"person":{"name":{"firstName":"Cleo"}}}', '2026-01-07 00:00:00+00', NULL),
	(1, 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', 7001, 'f44982bf-1849-ed3e-aa42-5e5c46d091f4', 'DELETE', '{"identityMap":{"Email":[{"id":"cleo@example.com","primary":true}]}}', '2026-01-08 00:00:00+00', NULL);
INSERT INTO gateway.record (sandbox_id, xid, dataset_id, ordinal, batch_id, mode, input, ingested_at, observed_at) VALUES
	(1, '0b48b28c-aeab-0c00-9056-f2e992d8379d', '19f1579c-77a7-4930-bedf-10ce3d96d803', 1, 'c55489ac-2133-6ad6-8025-a43f340ca7f9', 'REPLACE', '{"identityMap":{"Email":[{"id":"ada@example.com","primary":true}],"Phone":[{"id":"+441"}]},"person":{"name":{"firstName":"Ada"}},"homeAddress":{"city":"London","postalCode":"N1"}}', '2026-01-03 00:00:00+00', NULL),
	(1, 'f2fa62ef-8c28-ba7e-41dc-7538f385f31e', '19f1579c-77a7-4930-bedf-10ce3d96d803', 12001, '3ce10e7c-b43b-718a-2eef-488f2b45ba23', 'REPLACE', '{"identityMap":{"Email":[{"id":"fay@example.com","primary":true}]},"person":{"name":{"firstName":"Fay"}}}', '2026-01-12 00:00:00+00', NULL);
INSERT INTO gateway.record (sandbox_id, xid, dataset_id, ordinal, batch_id, mode, input, ingested_at, observed_at) VALUES
	(1, 'bb6b3fef-4cfd-e26c-399a-852487766bcd', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', 1001, '7ce2d20e-b6cd-ab53-e33d-6396f1bedd67', 'REPLACE', '{"identityMap":{"Phone":[{"id":"+441","primary":true}],"Card":[{"id":"77"}]},"person":{"name":{"firstName":"Adeline"}}}', '2026-01-04 00:00:00+00', NULL),
	(2, '578adc21-e7f3-3a7e-4163-9358cb148344', '7541948f-89e6-485d-b68e-62bb72381444', 11001, '78035197-3d4b-b9a7-91b4-af851c68683b', 'REPLACE', '{"personalEmail":{"address":"Eve@Example.com"},"person":{"name":{"lastName":"Müller"}},"_story":{"shoeSize":38,"joined":"2024-05-01T12:00:00+02:00"}}', '2026-01-11 00:00:00+00', NULL);
INSERT INTO gateway.tie (sandbox_id, xid, tie_id, batch_id, dataset_id, origin, ingested_at, ordinal, xids, first_at, last_at, is_retracted) VALUES
	(1, '0b48b28c-aeab-0c00-9056-f2e992d8379d', '5ed14e72-a8dd-a730-c12f-09dc969f22c7', 'c55489ac-2133-6ad6-8025-a43f340ca7f9', '19f1579c-77a7-4930-bedf-10ce3d96d803', '0b48b28c-aeab-0c00-9056-f2e992d8379d', '2026-01-03 00:00:00+00', 1, '{0b48b28c-aeab-0c00-9056-f2e992d8379d,bb6b3fef-4cfd-e26c-399a-852487766bcd}', '2026-01-03 00:00:00+00', '2026-01-03 00:00:00+00', false),
	(1, 'bb6b3fef-4cfd-e26c-399a-852487766bcd', '5ed14e72-a8dd-a730-c12f-09dc969f22c7', 'c55489ac-2133-6ad6-8025-a43f340ca7f9', '19f1579c-77a7-4930-bedf-10ce3d96d803', '0b48b28c-aeab-0c00-9056-f2e992d8379d', '2026-01-03 00:00:00+00', 1, '{0b48b28c-aeab-0c00-9056-f2e992d8379d,bb6b3fef-4cfd-e26c-399a-852487766bcd}', '2026-01-03 00:00:00+00', '2026-01-03 00:00:00+00', false),
	(1, 'bb6b3fef-4cfd-e26c-399a-852487766bcd', '8e6578e8-b0e1-ff6d-f2e5-7c103ab47bfc', '7ce2d20e-b6cd-ab53-e33d-6396f1bedd67', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', 'bb6b3fef-4cfd-e26c-399a-852487766bcd', '2026-01-04 00:00:00+00', 1001, '{bb6b3fef-4cfd-e26c-399a-852487766bcd,f0ba0f7f-783c-c8bb-28ea-ecef7e732926}', '2026-01-04 00:00:00+00', '2026-01-04 00:00:00+00', false),
	(1, 'f0ba0f7f-783c-c8bb-28ea-ecef7e732926', '8e6578e8-b0e1-ff6d-f2e5-7c103ab47bfc', '7ce2d20e-b6cd-ab53-e33d-6396f1bedd67', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', 'bb6b3fef-4cfd-e26c-399a-852487766bcd', '2026-01-04 00:00:00+00', 1001, '{bb6b3fef-4cfd-e26c-399a-852487766bcd,f0ba0f7f-783c-c8bb-28ea-ecef7e732926}', '2026-01-04 00:00:00+00', '2026-01-04 00:00:00+00', false),
	(1, '0b48b28c-aeab-0c00-9056-f2e992d8379d', '8d899097-66b1-65fa-dfc5-019cc094ce6d', '4e1bb253-77ea-75be-c98a-eeae3c4cfdcf', 'd76a7b51-d677-40d4-9348-0f42df20b83f', '0b48b28c-aeab-0c00-9056-f2e992d8379d', '2026-01-05 00:00:00+00', 2001, '{0b48b28c-aeab-0c00-9056-f2e992d8379d,99194509-5cc6-4842-c471-113788b58dd8}', '2025-12-01 10:00:00+00', '2025-12-01 10:00:00+00', false),
	(1, '99194509-5cc6-4842-c471-113788b58dd8', '8d899097-66b1-65fa-dfc5-019cc094ce6d', '4e1bb253-77ea-75be-c98a-eeae3c4cfdcf', 'd76a7b51-d677-40d4-9348-0f42df20b83f', '0b48b28c-aeab-0c00-9056-f2e992d8379d', '2026-01-05 00:00:00+00', 2001, '{0b48b28c-aeab-0c00-9056-f2e992d8379d,99194509-5cc6-4842-c471-113788b58dd8}', '2025-12-01 10:00:00+00', '2025-12-01 10:00:00+00', false),
	(1, '99194509-5cc6-4842-c471-113788b58dd8', '9a4e8857-0ada-d3db-3f5e-378ec1785783', 'a2ddeabc-56b9-3fde-4581-6bd832137edc', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '2026-01-07 00:00:00+00', 6001, '{99194509-5cc6-4842-c471-113788b58dd8,e98b8b24-1b4c-691d-33b8-c351397fd4bc}', '2025-12-05 10:00:00+00', '2025-12-05 10:00:00+00', false),
	(1, 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '9a4e8857-0ada-d3db-3f5e-378ec1785783', 'a2ddeabc-56b9-3fde-4581-6bd832137edc', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '2026-01-07 00:00:00+00', 6001, '{99194509-5cc6-4842-c471-113788b58dd8,e98b8b24-1b4c-691d-33b8-c351397fd4bc}', '2025-12-05 10:00:00+00', '2025-12-05 10:00:00+00', false),
	(1, 'd3d7e7a1-1a6c-7a62-b0ff-3ab208ef8c83', 'e6c16a91-5c2b-4116-3632-9937fc58ce84', '5a6f90a6-b6ff-3108-debf-32cd38361050', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '2026-01-07 00:00:00+00', 5001, '{d3d7e7a1-1a6c-7a62-b0ff-3ab208ef8c83,e98b8b24-1b4c-691d-33b8-c351397fd4bc}', '2026-01-07 00:00:00+00', '2026-01-07 00:00:00+00', true),
	(1, 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', 'e6c16a91-5c2b-4116-3632-9937fc58ce84', '5a6f90a6-b6ff-3108-debf-32cd38361050', '65f3ef51-4eb7-41c5-b31f-6827a0b39c76', 'e98b8b24-1b4c-691d-33b8-c351397fd4bc', '2026-01-07 00:00:00+00', 5001, '{d3d7e7a1-1a6c-7a62-b0ff-3ab208ef8c83,e98b8b24-1b4c-691d-33b8-c351397fd4bc}', '2026-01-07 00:00:00+00', '2026-01-07 00:00:00+00', true),
	(1, '96ce45e3-842b-18c6-4ab7-325c75de8b3c', 'd6c9366c-5233-8da7-eb63-3ebc373be51b', '00000000-0000-0000-0000-000000000000', NULL, '96ce45e3-842b-18c6-4ab7-325c75de8b3c', '2026-01-08 00:00:00+00', 8001, '{96ce45e3-842b-18c6-4ab7-325c75de8b3c,f0ba0f7f-783c-c8bb-28ea-ecef7e732926}', '2026-01-08 00:00:00+00', '2026-01-08 00:00:00+00', false),
	(1, 'f0ba0f7f-783c-c8bb-28ea-ecef7e732926', 'd6c9366c-5233-8da7-eb63-3ebc373be51b', '00000000-0000-0000-0000-000000000000', NULL, '96ce45e3-842b-18c6-4ab7-325c75de8b3c', '2026-01-08 00:00:00+00', 8001, '{96ce45e3-842b-18c6-4ab7-325c75de8b3c,f0ba0f7f-783c-c8bb-28ea-ecef7e732926}', '2026-01-08 00:00:00+00', '2026-01-08 00:00:00+00', false),
	(1, '96ce45e3-842b-18c6-4ab7-325c75de8b3c', '6647b9c4-b0e0-e6a5-ad24-b96d1cf63829', '2f524bdf-cd06-397c-ae21-797fdcad81f4', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'e990b8bf-5c8b-4081-7916-69fa10161b53', '2026-01-09 00:00:00+00', 9002, '{96ce45e3-842b-18c6-4ab7-325c75de8b3c,e990b8bf-5c8b-4081-7916-69fa10161b53}', '2025-12-06 10:00:00+00', '2025-12-06 10:00:00+00', false),
	(1, 'e990b8bf-5c8b-4081-7916-69fa10161b53', '6647b9c4-b0e0-e6a5-ad24-b96d1cf63829', '2f524bdf-cd06-397c-ae21-797fdcad81f4', 'd76a7b51-d677-40d4-9348-0f42df20b83f', 'e990b8bf-5c8b-4081-7916-69fa10161b53', '2026-01-09 00:00:00+00', 9002, '{96ce45e3-842b-18c6-4ab7-325c75de8b3c,e990b8bf-5c8b-4081-7916-69fa10161b53}', '2025-12-06 10:00:00+00', '2025-12-06 10:00:00+00', false),
	(1, '0b48b28c-aeab-0c00-9056-f2e992d8379d', '8d899097-66b1-65fa-dfc5-019cc094ce6d', '2f524bdf-cd06-397c-ae21-797fdcad81f4', 'd76a7b51-d677-40d4-9348-0f42df20b83f', '0b48b28c-aeab-0c00-9056-f2e992d8379d', '2026-01-09 00:00:00+00', 9001, '{0b48b28c-aeab-0c00-9056-f2e992d8379d,99194509-5cc6-4842-c471-113788b58dd8}', '2025-12-01 10:00:00+00', '2025-12-01 10:00:00+00', false),
	(1, '99194509-5cc6-4842-c471-113788b58dd8', '8d899097-66b1-65fa-dfc5-019cc094ce6d', '2f524bdf-cd06-397c-ae21-797fdcad81f4', 'd76a7b51-d677-40d4-9348-0f42df20b83f', '0b48b28c-aeab-0c00-9056-f2e992d8379d', '2026-01-09 00:00:00+00', 9001, '{0b48b28c-aeab-0c00-9056-f2e992d8379d,99194509-5cc6-4842-c471-113788b58dd8}', '2025-12-01 10:00:00+00', '2025-12-01 10:00:00+00', false);
SELECT pg_catalog.setval('gateway.arrival', 12001, true);
SELECT pg_catalog.setval('gateway.sandbox_sandbox_id_seq', 2, true);
