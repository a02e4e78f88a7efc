-- identities.read_identities
select xid, namespace_id, value, profile_id
  from gateway.identity
 where sandbox_id = $1 and xid = any($2::uuid[]);

-- people.read_people
select true, person.xid, person.namespace_id, person.value, person.profile_id
  from unnest($4::uuid[]) with ordinality asked (xid, place)
  left join lateral (
         select namespace_id, value, profile_id
           from gateway.identity
          where sandbox_id = $1 and xid = asked.xid
          limit 1) i on true
 cross join lateral (
         select asked.xid, i.namespace_id, i.value, i.profile_id, $2::uuid as policy_id, $3::integer as version, i.profile_id is not null as is_found,
                case when i.profile_id is not null then 'FOUND'
                     when i.namespace_id is not null and i.value is null then 'ERASED'
                     else 'NOT_FOUND' end as status) person
  
  
 order by asked.place;
