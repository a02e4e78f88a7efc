"""Facts: records, events and ties, appended as they came in, by batch. Every view of people is derived from them."""
