-- The call that fills the list of what the index of the journal is yet to take empties it: in 40 ms, not in a third of a second.

alter index gateway.change_xids_idx set (gin_pending_list_limit = 256);
