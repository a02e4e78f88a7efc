-- Whom exports hold is looked up in one export after the other: a second index doubled what it costs to keep their identities.

drop index gateway.export_identity_xid_idx;
