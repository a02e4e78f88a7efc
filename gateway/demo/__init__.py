"""The demo: a year of a grocery chain's customers, as documents that any gateway can take in.

source         The Complete Journey, read from its Parquet files
synthetic      names, e-mail addresses, telephones and devices, invented, the same every time
people         records: the CRM and the loyalty programme, which disagree
purchases      events: one per basket
campaigns      events: mailings and coupon redemptions
visits         events: web visits, known and anonymous
configuration  namespaces, schemas, datasets and merge policies that these documents need, as data
catalogue      the documents of each dataset, and how many there are
"""
