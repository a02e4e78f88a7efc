"""The data model of profiles and events: standard XDM field groups, schemas, validation, and GraphQL types from unions.

Pure: nothing here reads or writes anything but the field groups that ship beside it.

    classes     the two classes and their field groups; `compose` makes a schema of them
    fields      the subset of JSON Schema that fields are written in
    custom      is a tenant's own JSON Schema inside that subset?
    evolution   union of schemas, additive change, conflicts
    paths       a field by its path; the values that merging takes whole
    validation  documents against a schema
    violations  what is wrong with a document, in plain words
    names       field names as GraphQL names
    types       unions as GraphQL type descriptions
"""
