-- Values of computed attributes in statements that read people. `g` are the person's members, `kept` the profile.

-- part: before
-- When a window begins that ends at a moment. A day that a month lacks is its last.
(now.at at time zone 'UTC' - make_interval(months => {months}, secs => {seconds})) at time zone 'UTC'

-- part: moment
-- This moment, which is the next whole millisecond and the same in all rows, and when windows begin that end at it.
(select now.at{since}
   from (select date_trunc('milliseconds', gateway.now() + interval '999 microseconds') as at offset 0) as now
 offset 0) as moment

-- part: folded
-- The values that partials come to.
cross join lateral ({folded}) as folded

-- part: level
-- The values of those that read no others but such of lower levels.
cross join lateral (select {columns} offset 0) as {level}

-- part: named
-- The values by the names of attributes, as a document would have them.
cross join lateral (select {values}) as computed

-- part: values
-- The values of a person at this moment, and whether JSON can tell them as they are.
cross join {moment}
 {folded} {levels} {named}
 cross join lateral (select {is_computed} as is_computed) as checked

-- part: stored
-- An object or a list as a document would have it: no field is null.
jsonb_strip_nulls({value})

-- part: is_small
-- Whether a value that is no single one has at most `{most}` characters, which no map with more keys than are told has, and JSON can tell it.
coalesce(length({value}::text) <= {most} and not jsonb_path_exists({value}, '$.** ? (@ == null || @ >= {beyond} || @ <= -{beyond})'), true)
