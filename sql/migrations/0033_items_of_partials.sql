-- Partials of computed attributes keep the newest events, and what events with each key come to.

alter table gateway.computed_partial rename column newest to items;

update gateway.computed_partial
   set items = (select array_agg(case when u.v is not null then jsonb_build_array(jsonb_set(u.v, '{4}', jsonb_build_array(u.v -> 4))) end order by u.o)
                  from unnest(items) with ordinality as u (v, o))
 where items <> '{}';
