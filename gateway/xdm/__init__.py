"""The data model of profiles and events: standard XDM field groups, schemas, validation, and GraphQL types from unions.

Pure: nothing here reads or writes anything but the field groups that ship beside it.

    classes     the two classes and their field groups; `compose` makes a schema of them
    fields      the subset of JSON Schema that fields are written in
    custom      checks that an organization's own fields are inside that subset
    bounds      limits on what custom fields hold
    evolution   union of schemas, additive change, conflicts
    paths       a field by its path; the values that merging takes whole
    validation  documents against a schema
    leaves      values that can be written in several ways, in their normalized form
    violations  what is wrong with a document, in plain words
    patterns    regular expressions of fields, bounded in size
    names       field names as GraphQL names
    types       unions as GraphQL type descriptions
"""
